// SPDX-License-Identifier: Apache-2.0
// Which fields of a record become what.

/// How records with named fields (JSON objects, Fluentd's maps) become log lines.
///
/// Names are paths with `.` between the keys of nested objects: `kubernetes.pod_name` is the member
/// `pod_name` of the object `kubernetes`, or a member of that very name. The model is VictoriaLogs'
/// (`docs/victorialogs/data-ingestion`, "HTTP parameters"); the defaults are ours
/// (docs/decisions/0016-fields-of-pushed-records.md).
package struct LogRecordMapping: Sendable, Equatable {
    /// A name with its value.
    package struct Field: Sendable, Equatable {
        package var name: String
        package var value: String
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Fields that become labels of the stream.
    package var streamFields = LogRecordMapping.defaultStreamFields
    /// Fields that may hold the message; the first that is there and not empty becomes the line.
    package var messageFields = LogRecordMapping.defaultMessageFields
    /// Fields that may hold the time, best first.
    package var timeFields = LogRecordMapping.defaultTimeFields
    /// Whether the sender named the time field: then a value that is no time refuses the record;
    /// else the field is kept as any other and the time is that of arrival.
    package var isTimeFieldGiven = false
    /// Fields that are left out; a `*` at the end stands for any rest.
    package var ignoredFields: [String] = []
    /// Fields that every record gets; they win over the record's own.
    package var extraFields: [Field] = []
    /// Labels that every stream gets.
    package var labels: [Field] = []

    package init() {}

    /// Names that tell where a line comes from and take few values: those that Loki's
    /// `discover_service_name` and its default OTLP labels know, and what Elastic's and Fluentd's
    /// Kubernetes filters call the same.
    package static let defaultStreamFields = [
        "service.name", "service_name", "service", "service.namespace", "service.environment",
        "app", "application", "app_name", "job", "component", "namespace", "environment", "env",
        "deployment.environment", "deployment.environment.name", "cluster", "cloud.region",
        "region",
        "host", "hostname", "host.name", "container", "container_name", "container.name", "pod",
        "k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name",
        "kubernetes.namespace", "kubernetes.namespace_name", "kubernetes.pod_name",
        "kubernetes.pod.name", "kubernetes.container_name", "kubernetes.container.name",
    ]
    package static let defaultMessageFields = [
        "_msg", "message", "msg", "log", "body", "short_message",
    ]
    package static let defaultTimeFields = [
        "_time", "@timestamp", "timestamp", "time", "ts", "date",
    ]
}
