// SPDX-License-Identifier: Apache-2.0
// Front door of Wire.

/// Every wire format, both ways, as pure functions between bytes and batches.
///
/// | format | bytes → batch | batch → bytes |
/// |---|---|---|
/// | remote write 1.0, 2.0 | `RemoteWrite1.decode`, `RemoteWrite2.decode` | `.encode` |
/// | text exposition, OpenMetrics | `ExpositionParser`, `Exposition.decode` | `ExpositionWriter` |
/// | protobuf exposition | `MetricFamilies.decode` | |
/// | pushed groups | `PushedFamilies.decode` | |
/// | InfluxDB, Graphite, StatsD lines | `InfluxLines`, `GraphiteLines`, `StatsDLines` | |
/// | OTLP metrics | `OTLPMetrics.decodeProtobuf`, `.decodeJSON` | |
/// | OTLP logs | `OTLPLogs.decodeProtobuf`, `.decodeJSON` | `OTLPLogs.encode` |
/// | OTLP traces | `OTLPTraces.decodeProtobuf`, `.decodeJSON` | `OTLPTraces.encode` |
/// | Loki push | `LokiPush` | `LokiPush` |
/// | Elasticsearch's bulk requests, JSON lines | `ElasticBulk`, `JSONLines` | |
/// | syslog | `SyslogFraming`, `Syslog` | |
/// | journal export, Fluentd's forward | `JournalExportReader`, `FluentForward` | |
/// | answers to OTLP | | `OTLPResponse` |
///
/// No I/O, no clock, no store: the time of a scrape or of arrival is an argument. Decoders throw
/// when nothing of a body is usable; what is wrong with single series, points or records is in
/// the result, since each protocol answers it in its own way. No input crashes a decoder, and none
/// unfolds beyond the limits it is given.
package enum Wire {}
