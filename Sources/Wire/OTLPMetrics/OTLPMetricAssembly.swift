// SPDX-License-Identifier: Apache-2.0
// From OTLP resources, scopes and points to series.

import Base
import Telemetry

/// Holds what the points of a request share while they are translated.
struct OTLPMetricAssembly: ~Copyable {
    var result = DecodedMetrics()
    let options: OTLPMetrics.Options
    var metric = OTLPMetric()

    /// Attributes of the point, exemplar, resource or scope at hand.
    var attributes: OTLPLabelSet
    var exemplarAttributes: OTLPLabelSet
    /// `job` and `instance`.
    private var identity = LabelSetBuffer(capacity: 256)
    /// Resource attributes that are labels of every series.
    private var promoted = LabelSetBuffer(capacity: 256)
    private var scope = LabelSetBuffer(capacity: 256)
    /// `identity` and `scope`.
    private var shared = LabelSetBuffer(capacity: 512)
    /// Labels of the point at hand but for `__name__`, `le` and `quantile`.
    private var base = LabelSetBuffer(capacity: 1024)
    private var unpromoted = LabelSetBuffer(capacity: 1024)
    /// `__name__`, and `le` or `quantile`.
    private var head = LabelSetBuffer(capacity: 256)
    private var series = LabelSetBuffer(capacity: 1024)
    private var exemplarLabels = LabelSetBuffer(capacity: 256)
    private var exemplarText: [UInt8] = []
    private let maxArenaBytes: Int
    private let maxPoints: Int
    /// Families whose metadata was kept.
    private var families: Set<UInt64> = []

    /// What keeps all points of the resource or scope at hand out.
    private var resourceFlaw: String?
    private var scopeFlaw: String?

    /// First and last time of the resource's points, in milliseconds.
    private var firstMillis = Int64.max
    private var lastMillis = Int64.min

    /// Memory that one point hands to the next.
    var bounds: [Double] = []
    var counts: [UInt64] = []
    var exemplars: [ProtobufReader] = []
    var text: [UInt8] = []
    /// Texts of the bounds of the last histogram; most points of a metric have the same bounds.
    var boundTexts: [[UInt8]] = []
    var textedBounds: [Double] = []
    static let infinity = Array("+Inf".utf8)

    init(_ options: OTLPMetrics.Options, bodyBytes: Int) {
        self.options = options
        let limits = options.limits
        let naming = OTLPLabelNaming(options.settings)
        attributes = OTLPLabelSet(limits: limits, naming: naming)
        // Labels of exemplars keep the keys as they are.
        var verbatim = naming
        verbatim.escapes = false
        exemplarAttributes = OTLPLabelSet(limits: limits, naming: verbatim)
        maxArenaBytes = min(limits.arenaBytes > 0 ? limits.arenaBytes : .max, 2 << 30)
        maxPoints = limits.points > 0 ? limits.points : .max
        result.batch.arena.reserveCapacity(bodyBytes)
    }

    // MARK: resource and scope

    /// Makes the labels that the resource gives to its series.
    mutating func beginResource(_ resource: ProtobufReader?) throws(MalformedBytes) {
        firstMillis = .max
        lastMillis = .min
        identity.reset()
        promoted.reset()
        scope.reset()
        try readAttributes(resource, field: 1)
        resourceFlaw = attributes.flaw
        scopeFlaw = nil
        if var job = attributes.text(of: "service.name") {
            if let namespace = attributes.text(of: "service.namespace") {
                job = namespace + [UInt8(ascii: "/")] + job
            }
            job.withUnsafeBytes { identity.append("job", $0) }
        }
        if let instance = attributes.text(of: "service.instance.id") {
            instance.withUnsafeBytes { identity.append("instance", $0) }
        }
        _ = identity.seal()
        let settings = options.settings
        if settings.promotesAllResourceAttributes {
            attributes.seal { key in
                !settings.ignoredResourceAttributes.contains(String(decoding: key, as: UTF8.self))
            }
            promoted.append(canonical: attributes.labels.bytes)
        } else if !settings.promotedResourceAttributes.isEmpty {
            attributes.seal { key in
                settings.promotedResourceAttributes.contains(String(decoding: key, as: UTF8.self))
            }
            promoted.append(canonical: attributes.labels.bytes)
        }
        _ = promoted.seal()
    }

    private mutating func readAttributes(
        _ message: ProtobufReader?, field: UInt32
    ) throws(MalformedBytes) {
        attributes.reset()
        guard var message else { return }
        while try message.next() {
            if message.field == field {
                try attributes.add(message.message())
            } else {
                try message.skip()
            }
        }
    }

    /// Adds `target_info` for a resource whose points are all read.
    mutating func endResource(_ resource: ProtobufReader?) throws(MalformedBytes) {
        guard firstMillis <= lastMillis, resourceFlaw == nil else { return }
        try readAttributes(resource, field: 1)
        let keepsAll = options.settings.keepsIdentifyingResourceAttributes
        var others = 0
        attributes.forEach { key, _ in if !OTLPMetricAssembly.isIdentifying(key) { others += 1 } }
        // What holds only job and instance tells nothing.
        guard others > 0 else { return }
        attributes.seal { keepsAll || !OTLPMetricAssembly.isIdentifying($0) }
        guard !identity.bytes.isEmpty || Self.namesTarget(attributes.labels.bytes) else { return }
        series.reset()
        series.append("__name__", StaticString("target_info").bytes)
        series.append(canonical: identity.bytes)
        series.append(canonical: attributes.labels.bytes)
        _ = series.seal()
        let index = try keepSeries()
        // A gap longer than half the look-back would hide the series from queries in between; a
        // range that no sender means is covered at its end.
        let step = max(options.lookbackMillis / 2, 1)
        let (reach, overflow) = step.multipliedReportingOverflow(
            by: Int64(OTLPMetrics.maxTargetInfoSamples - 1))
        var millis = firstMillis
        if !overflow, lastMillis - firstMillis > reach { millis = lastMillis - reach }
        while millis < lastMillis {
            result.batch.addSample(series: index, millis: millis, value: 1)
            millis += min(step, lastMillis - millis)
        }
        result.batch.addSample(series: index, millis: lastMillis, value: 1)
        addMetadata(
            Array("target_info".utf8), .gauge, help: StaticString("Target metadata").bytes, unit: ""
        )
    }

    private static func namesTarget(_ labels: UnsafeRawBufferPointer) -> Bool {
        labelValue(of: StaticString("job").bytes, in: labels) != nil
            || labelValue(of: StaticString("instance").bytes, in: labels) != nil
    }

    private static func isIdentifying(_ key: UnsafeRawBufferPointer) -> Bool {
        equalBytes(key, StaticString("service.name").bytes)
            || equalBytes(key, StaticString("service.namespace").bytes)
            || equalBytes(key, StaticString("service.instance.id").bytes)
    }

    /// Makes the labels that a scope gives to its series.
    mutating func beginScope(
        _ message: ProtobufReader?, schemaURL: UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        try readScope(message, schemaURL)
        shared.merge(identity, scope)
    }

    private mutating func readScope(
        _ message: ProtobufReader?, _ schemaURL: UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        scope.reset()
        scopeFlaw = nil
        guard options.settings.promotesScopeMetadata, var message else { return }
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var version = name
        try readAttributes(message, field: 3)
        while try message.next() {
            switch message.field {
            case 1: name = try message.bytes()
            case 2: version = try message.bytes()
            default: try message.skip()
            }
        }
        guard !name.isEmpty else { return }
        attributes.seal(prefix: "otel_scope_")
        scopeFlaw = attributes.flaw
        if !isValidUTF8(name) || !isValidUTF8(version) || !isValidUTF8(schemaURL) {
            scopeFlaw = "scope that is not valid UTF-8"
        }
        // Of equal names the first counts: attributes cannot replace these.
        scope.append("otel_scope_name", name)
        scope.append("otel_scope_version", version)
        scope.append("otel_scope_schema_url", schemaURL)
        scope.append(canonical: attributes.labels.bytes)
        _ = scope.seal()
    }

    // MARK: series

    private func malformed(_ expected: String) -> MalformedBytes {
        MalformedBytes(offset: 0, expected: expected)
    }

    /// Makes the labels of the point whose attributes were read; false when the point is rejected.
    mutating func beginPoint(_ point: OTLPPoint) -> Bool {
        attributes.seal()
        let name = metric.otlpName
        if let flaw = attributes.flaw ?? scopeFlaw ?? resourceFlaw {
            result.reject(1, "metric \(quotedText(name)): \(flaw)")
            return false
        }
        if point.nanos == 0 {
            result.reject(1, "metric \(quotedText(name)): data point without timeUnixNano")
            return false
        }
        // Of equal names the first one counts, so that what Prometheus sets later comes first.
        if promoted.labelCount == 0 {
            base.merge(shared, attributes.labels)
        } else {
            unpromoted.merge(shared, attributes.labels)
            base.merge(unpromoted, promoted)
        }
        firstMillis = min(firstMillis, point.millis)
        lastMillis = max(lastMillis, point.millis)
        return true
    }

    private mutating func keepSeries() throws(MalformedBytes) -> UInt32 {
        guard result.batch.arena.count < maxArenaBytes else {
            throw malformed(
                "labels of at most \(maxArenaBytes) bytes in a request; send fewer points at once")
        }
        guard result.batch.series.count < maxPoints else {
            throw malformed("at most \(maxPoints) series in a request; send fewer points at once")
        }
        result.batch.series.append(series.keep(in: &result.batch.arena))
        return UInt32(result.batch.series.count - 1)
    }

    /// Adds a series of the point at hand and returns its index.
    mutating func addSeries(
        _ name: [UInt8], _ extra: StaticString? = nil, _ value: [UInt8] = []
    ) throws(MalformedBytes) -> UInt32 {
        head.reset()
        name.withUnsafeBytes { head.append("__name__", $0) }
        if let extra { value.withUnsafeBytes { head.append(extra, $0) } }
        series.merge(head, base)
        return try keepSeries()
    }

    mutating func addSample(_ series: UInt32, _ point: OTLPPoint, _ value: Double) {
        result.batch.addSample(
            series: series, millis: point.millis, value: point.isStale ? StaleMarker.value : value,
            startMillis: point.startMillis)
    }

    /// Keeps a family's metadata, once.
    ///
    /// - Parameter help: as sent; what is not UTF-8 in it is replaced.
    mutating func addMetadata(
        _ family: [UInt8], _ type: MetricType, help: UnsafeRawBufferPointer, unit: String
    ) {
        guard families.insert(hash64(family)).inserted else { return }
        let repaired = isValidUTF8(help) ? [] : Array(String(decoding: help, as: UTF8.self).utf8)
        var unit = unit
        family.withUnsafeBytes { family in
            repaired.withUnsafeBytes { repaired in
                unit.withUTF8 { unit in
                    result.batch.addMetadata(
                        family: family, type: type, help: repaired.isEmpty ? help : repaired,
                        unit: UnsafeRawBufferPointer(unit))
                }
            }
        }
    }

    // MARK: exemplars

    /// Adds one exemplar to the series that `series` picks by the exemplar's value.
    ///
    /// Filtered attributes are kept unless they would make the labels longer than 128 characters,
    /// the limit of OpenMetrics. An exemplar without a value is left out.
    mutating func addExemplar(
        _ message: ProtobufReader, _ point: OTLPPoint, series: (Double) -> UInt32
    ) throws(MalformedBytes) {
        var message = message
        var value: Double?
        var nanos: UInt64 = 0
        var traceID = UnsafeRawBufferPointer(start: nil, count: 0)
        var spanID = traceID
        exemplarAttributes.reset()
        while try message.next() {
            switch message.field {
            case 2: nanos = try message.fixed64()
            case 3: value = try message.double()
            case 4: spanID = try message.bytes()
            case 5: traceID = try message.bytes()
            case 6: value = Double(try message.sfixed64())
            case 7: try exemplarAttributes.add(message.message())
            default: try message.skip()
            }
        }
        guard let value else { return }
        exemplarLabels.reset()
        var length = 0
        if traceID.count == 16, let id = TraceID(bytes: traceID), !id.isZero {
            exemplarText.removeAll(keepingCapacity: true)
            appendHexadecimal(id.high, to: &exemplarText)
            appendHexadecimal(id.low, to: &exemplarText)
            exemplarText.withUnsafeBytes { exemplarLabels.append("trace_id", $0) }
            length += 8 + 32
        }
        if spanID.count == 8, let id = SpanID(bytes: spanID), !id.isZero {
            exemplarText.removeAll(keepingCapacity: true)
            appendHexadecimal(id.rawValue, to: &exemplarText)
            exemplarText.withUnsafeBytes { exemplarLabels.append("span_id", $0) }
            length += 7 + 16
        }
        exemplarAttributes.forEach { key, text in
            length += OTLPMetricAssembly.scalars(key) + OTLPMetricAssembly.scalars(text)
        }
        if exemplarAttributes.flaw == nil, length <= 128 {
            exemplarAttributes.seal()
            exemplarLabels.append(canonical: exemplarAttributes.labels.bytes)
        }
        _ = exemplarLabels.seal()
        result.batch.addExemplar(
            series: series(value), millis: nanos == 0 ? point.millis : Int64(nanos / 1_000_000),
            value: value, labels: exemplarLabels.bytes)
    }

    /// Unicode scalars of valid UTF-8.
    private static func scalars(_ text: UnsafeRawBufferPointer) -> Int {
        text.reduce(0) { $0 + ($1 & 0xc0 == 0x80 ? 0 : 1) }
    }
}
