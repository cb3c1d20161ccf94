"""Models as governed and as replayable as rules: features, scores in a fixed order of IEEE operations, a choice by one hash."""
