// SPDX-License-Identifier: Apache-2.0
// OTLP logs as streams with structured metadata.

import Base
import Telemetry

/// `ExportLogsServiceRequest` from protobuf and JSON, and to protobuf.
///
/// The mapping is Loki's. Some resource attributes become labels of the stream; all others, the
/// scope and the fields of the record become structured metadata of each line; the body becomes
/// the line. Names are cleaned to label names, maps are flattened with `_` between the keys.
/// Source: opentelemetry-proto `logs/v1`; grafana/loki `pkg/loghttp/push/otlp.go` and `otlplabels`
/// (Apache-2.0 parts). Unlike Loki's, a body that is a map keeps the order of its keys.
package enum OTLPLogs {
    /// Largest body: slices of the arena count in 32 bits.
    static let maxBodyBytes = 1 << 30

    /// How a request is taken.
    package struct Options: Sendable {
        /// Time of lines that carry none, in nanoseconds since 1970: the time of arrival.
        package var receivedNanos: Int64
        /// Resource attributes that become labels of the stream.
        package var indexedAttributes: Set<String> = OTLPLogs.defaultIndexedAttributes
        package var limits = LogLimits()

        package init(receivedNanos: Int64) { self.receivedNanos = receivedNanos }
    }

    /// Loki's default list of resource attributes that become labels.
    package static let defaultIndexedAttributes: Set<String> = [
        "service.name", "service.namespace", "service.instance.id", "deployment.environment",
        "deployment.environment.name", "cloud.region", "cloud.availability_zone",
        "k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name",
        "container.name", "k8s.replicaset.name", "k8s.deployment.name", "k8s.statefulset.name",
        "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
    ]

    /// As `Options.indexedAttributes`, for look-up by bytes.
    struct IndexedAttributes {
        private var names: [[UInt8]]

        init(_ names: Set<String>) { self.names = names.sorted().map { Array($0.utf8) } }

        func contains(_ key: UnsafeRawBufferPointer) -> Bool {
            names.contains { $0.count == key.count && key.elementsEqual($0) }
        }
    }
}

/// Fields of one log record until its row is added; both encodings decode into it.
struct LogRecordFields {
    var nanos: Int64 = 0
    var observedNanos: Int64 = 0
    var severityNumber: Int64 = 0
    var severityText = ByteSlice.empty
    var eventName = ByteSlice.empty
    var droppedAttributes: UInt32 = 0
    var flags: UInt32 = 0
    var traceID = TraceID.zero
    var spanID = SpanID.zero
}

/// Turns resources, scopes and records into streams and rows.
struct OTLPLogAssembly {
    var logs: LogAssembly
    private let indexed: OTLPLogs.IndexedAttributes
    private let options: OTLPLogs.Options
    /// `AttributeCoding` lists of the resource, the scope and the record at hand.
    var resource = ByteWriter()
    var scope = ByteWriter()
    var attributes = ByteWriter()
    /// Encoded body of the record at hand; empty when there is none.
    var body = ByteWriter()
    /// Texts of the record and of the scope at hand.
    var texts: [UInt8] = []
    var scopeTexts: [UInt8] = []
    /// Metadata of the resource, and whether that of the scope is still to be added to it: scopes
    /// without records cost nothing.
    private var resourceMetadata = SharedMetadata()
    private var isScopePending = false
    var scopeName = ByteSlice.empty
    var scopeVersion = ByteSlice.empty
    var scopeDroppedAttributes: UInt32 = 0
    private var name: [UInt8] = []
    private var value: [UInt8] = []

    init(_ options: OTLPLogs.Options) {
        self.options = options
        logs = LogAssembly(options.limits)
        indexed = OTLPLogs.IndexedAttributes(options.indexedAttributes)
    }

    // MARK: resource and scope

    /// Makes the stream of the resource whose attributes are in `resource`.
    mutating func beginResource() throws(MalformedBytes) {
        try forEachText(resource.bytes, indexedOnly: true) { assembly, name, value in
            assembly.logs.setLabel(name, value)
        }
        ServiceName.addIfMissing(to: &logs.labels)
        logs.beginStream()
        try forEachText(resource.bytes, indexedOnly: false) { $0.logs.addMetadata($1, $2) }
        resourceMetadata = logs.takeMetadata()
    }

    mutating func beginScope() {
        isScopePending = true
        scope.bytes.removeAll(keepingCapacity: true)
        scopeTexts.removeAll(keepingCapacity: true)
        scopeName = .empty
        scopeVersion = .empty
        scopeDroppedAttributes = 0
    }

    /// Makes scope and resource the metadata of the rows that follow.
    private mutating func shareScope() throws(MalformedBytes) {
        isScopePending = false
        try forEachText(scope.bytes) { $0.logs.addMetadata($1, $2) }
        scopeTexts.withSlice(scopeName) { logs.addMetadata(StaticString("scope_name").bytes, $0) }
        scopeTexts.withSlice(scopeVersion) {
            logs.addMetadata(StaticString("scope_version").bytes, $0)
        }
        addMetadata("scope_dropped_attributes_count", Int64(scopeDroppedAttributes))
        logs.shared = logs.takeMetadata().merged(before: resourceMetadata)
    }

    // MARK: records

    mutating func beginRecord() {
        attributes.bytes.removeAll(keepingCapacity: true)
        body.bytes.removeAll(keepingCapacity: true)
        texts.removeAll(keepingCapacity: true)
    }

    mutating func endRecord(_ record: LogRecordFields) throws(MalformedBytes) {
        if isScopePending { try shareScope() }
        try forEachText(attributes.bytes) { $0.logs.addMetadata($1, $2) }
        if record.nanos != 0, record.observedNanos != 0 {
            addMetadata("observed_timestamp", record.observedNanos)
        }
        addMetadata("severity_number", record.severityNumber)
        addMetadata("severity_text", record.severityText)
        addMetadata("dropped_attributes_count", Int64(record.droppedAttributes))
        addMetadata("flags", Int64(record.flags))
        addMetadata("event_name", record.eventName)
        if !record.traceID.isZero {
            value.removeAll(keepingCapacity: true)
            appendHexadecimal(record.traceID.high, to: &value)
            appendHexadecimal(record.traceID.low, to: &value)
            addValue("trace_id")
        }
        if !record.spanID.isZero {
            value.removeAll(keepingCapacity: true)
            appendHexadecimal(record.spanID.rawValue, to: &value)
            addValue("span_id")
        }
        let nanos =
            record.nanos != 0
            ? record.nanos
            : record.observedNanos != 0 ? record.observedNanos : options.receivedNanos
        let start = logs.result.batch.arena.count
        if !body.bytes.isEmpty {
            try body.bytes.readBytes { (bytes) throws(MalformedBytes) in
                var reader = ByteReader(bytes)
                try OTLPAttributes.appendText(&reader, to: &logs.result.batch.arena)
            }
        }
        let line = ByteSlice(offset: start, count: logs.result.batch.arena.count - start)
        logs.endRow(nanos: nanos, line: line, traceID: record.traceID, spanID: record.spanID)
        guard logs.result.batch.arena.count <= options.limits.maxDecodedBytes else {
            throw MalformedBytes(
                offset: 0,
                expected: "a request of at most \(options.limits.maxDecodedBytes) bytes in memory; "
                    + "send fewer records or smaller resources at once")
        }
    }

    // MARK: metadata

    private mutating func addMetadata(_ name: StaticString, _ text: ByteSlice) {
        if text.isEmpty { return }
        texts.withSlice(text) { logs.addMetadata(name.bytes, $0) }
    }

    /// Zero is left out.
    private mutating func addMetadata(_ name: StaticString, _ number: Int64) {
        if number == 0 { return }
        value.removeAll(keepingCapacity: true)
        appendDecimal(number, into: &value)
        addValue(name)
    }

    private mutating func addValue(_ name: StaticString) {
        value.withUnsafeBytes { logs.addMetadata(name.bytes, $0) }
    }

    /// Calls `body` with the cleaned name and the text of each attribute, maps flattened.
    private mutating func forEachText(
        _ list: [UInt8], indexedOnly: Bool? = nil,
        _ body: (inout OTLPLogAssembly, UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) throws(MalformedBytes) {
        // Taken out of `self`, which `body` changes while they are borrowed.
        var name: [UInt8] = []
        var value: [UInt8] = []
        swap(&name, &self.name)
        swap(&value, &self.value)
        defer {
            swap(&name, &self.name)
            swap(&value, &self.value)
        }
        try list.readBytes { (bytes) throws(MalformedBytes) in
            var reader = ByteReader(bytes)
            while !reader.isAtEnd {
                let key = try reader.lengthPrefixed()
                if let indexedOnly, indexed.contains(key) != indexedOnly {
                    try AttributeCoding.skipValue(&reader)
                    continue
                }
                name.removeAll(keepingCapacity: true)
                name.append(contentsOf: key)
                try flatten(&reader, &name, &value, 0, body)
            }
        }
    }

    private mutating func flatten(
        _ reader: inout ByteReader, _ name: inout [UInt8], _ value: inout [UInt8], _ depth: Int,
        _ body: (inout OTLPLogAssembly, UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) throws(MalformedBytes) {
        guard depth < AttributeCoding.maxDepth else { throw reader.malformed("shallow attributes") }
        let start = reader.offset
        if try reader.u8() == AttributeType.map.rawValue {
            let n = try reader.length(limit: reader.remaining, "number of pairs")
            let prefix = name.count
            for _ in 0..<n {
                name.append(UInt8(ascii: "_"))
                name.append(contentsOf: try reader.lengthPrefixed())
                try flatten(&reader, &name, &value, depth + 1, body)
                name.removeSubrange(prefix...)
            }
            return
        }
        reader.offset = start
        value.removeAll(keepingCapacity: true)
        try OTLPAttributes.appendText(&reader, to: &value)
        var clean: [UInt8] = []
        name.withUnsafeBytes { raw in
            value.withUnsafeBytes { text in
                if isCompliantLabelName(raw) {
                    body(&self, raw, text)
                } else if appendCompliantLabelName(raw, to: &clean) {
                    clean.withUnsafeBytes { body(&self, $0, text) }
                }
            }
        }
    }
}

/// Appends 16 lower-case hexadecimal digits.
package func appendHexadecimal(_ value: UInt64, to out: inout [UInt8]) {
    for shift in stride(from: UInt64(60), through: 0, by: -4) {
        let nibble = UInt8(truncatingIfNeeded: value &>> shift) & 15
        out.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
    }
}
