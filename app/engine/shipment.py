"""The links that one Step sends to other partition groups: their ids, in order, and what the journal says of them."""

from app.contract.ids import link_id
from app.contract.links import Link, write_link
from app.contract.partitions import partition_of
from app.contract.topics import IDENTITY_LINKS
from app.engine.policies import Policies
from app.engine.values import InputRecord, Moment, Output


class Shipment:
    """unit: whose Step it is."""

    def __init__(self, unit: str, record: InputRecord, policies: Policies) -> None:
        self._unit = unit
        self._record = record
        self._policies = policies
        self._partitions: int | None = None
        self.outputs: list[Output] = []
        self._named: list[str] = []

    def next_id(self) -> str:
        place = self._record if self._record.via is None else self._record.via
        topic = self._record.topic if self._record.via is None else IDENTITY_LINKS
        return link_id(topic, place.partition, place.offset, self._unit, len(self.outputs))

    def add(self, link: Link, to: int, key: str | None = None) -> None:
        """key: the unit that the link is for, where it is another one."""
        name = self._unit if key is None else key
        self.outputs.append(Output(IDENTITY_LINKS, name.encode() or None, write_link(link, self._policies.offset), to))
        self._named.append(f'{{"link_id":"{link.link_id}","partition":{to}}}')

    def add_for(self, unit: str, link: Link, moment: Moment) -> None:
        """To where a producer would append a record of `unit`. Where it lives while units move is for the one who reads it."""
        topology = self._policies.topology
        self._partitions = moment.partitions if topology is None else topology.newest
        self.add(link, partition_of(unit, self._partitions), unit)

    @property
    def field(self) -> str:
        """Further fields of the journal record. partitions: the count by which the links were addressed, for a replay."""
        if not self._named:
            return ""
        counted = "" if self._partitions is None else f'"partitions":{self._partitions},'
        return f'"links":[{",".join(self._named)}],{counted}'
