package bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The counter job on Kafka Streams, exactly_once_v2. One JSON argument: see tests/bench/peers/job.py. */
public final class Counter {
    private static final String STORE = "counts";
    private static final int SESSION_MS = 6_000;
    /** Room for every key of the largest column, so that no column pays for evictions. */
    private static final long CACHE_BYTES = 64L << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** The job's event, as the load writes it. */
    public static final class Event {
        public long event_id;
        public String user;
        public long ts;
    }

    /** The job's output. */
    public static final class Counted {
        public long event_id;
        public String user;
        public long ts;
        public long count;
    }

    private static final ObjectReader READER = JSON.readerFor(Event.class);
    private static final ObjectWriter WRITER = JSON.writerFor(Counted.class);

    private static final class Count implements FixedKeyProcessor<String, byte[], byte[]> {
        private FixedKeyProcessorContext<String, byte[]> context;
        private KeyValueStore<String, Long> counts;

        @Override
        public void init(FixedKeyProcessorContext<String, byte[]> context) {
            this.context = context;
            this.counts = context.getStateStore(STORE);
        }

        @Override
        public void process(FixedKeyRecord<String, byte[]> record) {
            try {
                Event event = READER.readValue(record.value());
                Long before = counts.get(event.user);
                Counted counted = new Counted();
                counted.event_id = event.event_id;
                counted.user = event.user;
                counted.ts = event.ts;
                counted.count = before == null ? 1 : before + 1;
                counts.put(event.user, counted.count);
                context.forward(record.withValue(WRITER.writeValueAsBytes(counted)));
            } catch (java.io.IOException error) {
                throw new IllegalArgumentException("not an event of the job", error);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        JsonNode job = JSON.readTree(arguments[0]);
        StoreBuilder<KeyValueStore<String, Long>> store =
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.Long()).withCachingEnabled();
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(store);
        builder.stream(List.of(job.get("first").asText(), job.get("second").asText()), Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .processValues(Count::new, STORE)
            .to(job.get("out").asText(), Produced.with(Serdes.String(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), properties(job));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
    }

    private static Properties properties(JsonNode job) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, job.get("app_id").asText());
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.get("broker").asText());
        properties.put(StreamsConfig.STATE_DIR_CONFIG, job.get("data_dir").asText());
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, job.get("commit_interval_ms").asInt());
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, job.get("threads").asInt());
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), SESSION_MS);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), SESSION_MS / 6);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), SESSION_MS);
        if (job.hasNonNull("instance_id")) {
            properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), job.get("instance_id").asText());
        }
        return properties;
    }

    private Counter() {}
}
