// SPDX-License-Identifier: Apache-2.0
// OTLP metrics from protobuf.

import Base
import Telemetry

extension OTLPMetrics {
    /// Decodes an `ExportMetricsServiceRequest`.
    ///
    /// - Throws: `MalformedBytes` when the body is not the message or exceeds a limit of the whole
    ///   request. What is wrong with single points is in the result.
    package static func decodeProtobuf(
        _ body: UnsafeRawBufferPointer, _ options: Options = Options()
    ) throws(MalformedBytes) -> DecodedMetrics {
        guard body.count <= maxBodyBytes else {
            throw MalformedBytes(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = OTLPMetricAssembly(options, bodyBytes: body.count)
        var reader = ProtobufReader(body)
        while try reader.next() {
            switch reader.field {
            case 1: try resourceMetrics(reader.message(), &assembly)
            default: try reader.skip()
            }
        }
        return assembly.finish()
    }

    private static func resourceMetrics(
        _ message: ProtobufReader, _ assembly: inout OTLPMetricAssembly
    ) throws(MalformedBytes) {
        // Fields may come in any order, and every series needs the resource.
        var resource: ProtobufReader?
        var first = message
        while try first.next() {
            if first.field == 1 { resource = try first.message() } else { try first.skip() }
        }
        try assembly.beginResource(resource)
        var second = message
        while try second.next() {
            if second.field == 2 {
                try scopeMetrics(second.message(), &assembly)
            } else {
                try second.skip()
            }
        }
        try assembly.endResource(resource)
    }

    private static func scopeMetrics(
        _ message: ProtobufReader, _ assembly: inout OTLPMetricAssembly
    ) throws(MalformedBytes) {
        var scope: ProtobufReader?
        var schemaURL = UnsafeRawBufferPointer(start: nil, count: 0)
        var first = message
        while try first.next() {
            switch first.field {
            case 1: scope = try first.message()
            case 3: schemaURL = try first.bytes()
            default: try first.skip()
            }
        }
        try assembly.beginScope(scope, schemaURL: schemaURL)
        var second = message
        while try second.next() {
            if second.field == 2 {
                try metric(second.message(), &assembly)
            } else {
                try second.skip()
            }
        }
    }

    /// What a metric's `data` holds.
    private enum Data: UInt32 {
        case gauge = 5
        case sum = 7
        case histogram = 9
        case exponentialHistogram = 10
        case summary = 11
    }

    private static func metric(
        _ message: ProtobufReader, _ assembly: inout OTLPMetricAssembly
    ) throws(MalformedBytes) {
        var message = message
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var description = name, unit = name
        var data: (kind: Data, message: ProtobufReader)?
        while try message.next() {
            switch message.field {
            case 1: name = try message.bytes()
            case 2: description = try message.bytes()
            case 3: unit = try message.bytes()
            default:
                if let kind = Data(rawValue: message.field) {
                    data = (kind, try message.message())
                } else {
                    try message.skip()
                }
            }
        }
        guard let data else { return }
        var points = 0
        var temporality: UInt32 = 0
        var isMonotonic = false
        var scan = data.message
        while try scan.next() {
            switch scan.field {
            case 1:
                points += 1
                try scan.skip()
            case 2: temporality = try scan.uint32()
            case 3: isMonotonic = try scan.bool()
            default: try scan.skip()
            }
        }
        if points == 0 { return }
        func text() -> String { String(decoding: name, as: UTF8.self) }
        let hasTemporality = data.kind != .gauge && data.kind != .summary
        let isDelta = hasTemporality && temporality == 1
        if hasTemporality, temporality != 2, !(isDelta && assembly.options.takesDeltas) {
            assembly.result.reject(
                points,
                "invalid temporality and type combination for metric \(quotedText(text()))")
            return
        }
        let kind: OTLPMetricName.Kind =
            switch data.kind {
            case .gauge: .gauge
            case .sum: isMonotonic ? .monotonicSum : .other
            default: .other
            }
        let strategy = assembly.options.settings.strategy
        let nameLimit = assembly.options.limits.labelValueBytes
        if nameLimit > 0, name.count > nameLimit || unit.count > nameLimit {
            assembly.result.reject(points, "metric name or unit longer than \(nameLimit) bytes")
            return
        }
        let names =
            if let memory = assembly.options.names {
                memory.names(name, unit: unit, kind, strategy)
            } else { OTLPNameMemory.translate(name, unit: unit, kind, strategy) }
        guard let names else {
            assembly.result.reject(
                points, "metric name \(quotedText(text())) leaves no valid Prometheus name")
            return
        }
        assembly.metric = OTLPMetric(names: names, isDelta: isDelta)
        assembly.addMetadata(
            names.name, type(data.kind, isMonotonic), help: description, unit: names.unit)
        var reader = data.message
        while try reader.next() {
            guard reader.field == 1 else {
                try reader.skip()
                continue
            }
            let point = try reader.message()
            switch data.kind {
            case .gauge, .sum: try assembly.numberPoint(point)
            case .histogram: try assembly.histogramPoint(point)
            case .exponentialHistogram: try assembly.exponentialPoint(point)
            case .summary: try assembly.summaryPoint(point)
            }
        }
    }

    private static func type(_ kind: Data, _ isMonotonic: Bool) -> MetricType {
        switch kind {
        case .gauge: .gauge
        case .sum: isMonotonic ? .counter : .gauge
        case .histogram, .exponentialHistogram: .histogram
        case .summary: .summary
        }
    }
}

extension OTLPMetricAssembly {
    consuming func finish() -> DecodedMetrics {
        result.collisions = attributes.collisions
        return result
    }

    /// A point of a gauge or sum.
    mutating func numberPoint(_ message: ProtobufReader) throws(MalformedBytes) {
        var message = message
        var point = OTLPPoint()
        var value: Double?
        attributes.reset()
        exemplars.removeAll(keepingCapacity: true)
        while try message.next() {
            switch message.field {
            case 2: point.setStart(try message.fixed64())
            case 3: point.nanos = try message.fixed64()
            case 4: value = try message.double()
            case 5: exemplars.append(try message.message())
            case 6: value = Double(try message.sfixed64())
            case 7: try attributes.add(message.message())
            case 8: point.flags = try message.uint32()
            default: try message.skip()
            }
        }
        guard value != nil || point.isStale else {
            result.reject(1, "metric \(quotedText(metric.otlpName)): data point without a value")
            return
        }
        guard beginPoint(point) else { return }
        let series = try addSeries(metric.name)
        let first = result.batch.sampleSeries.count
        addSample(series, point, value ?? 0)
        noteDelta(samples: first, key: first, isStale: point.isStale)
        for exemplar in exemplars { try addExemplar(exemplar, point) { _ in series } }
    }

    /// A point of a summary: one series for each quantile, and count and sum.
    mutating func summaryPoint(_ message: ProtobufReader) throws(MalformedBytes) {
        var message = message
        var point = OTLPPoint()
        var count: UInt64 = 0
        var sum = 0.0
        attributes.reset()
        exemplars.removeAll(keepingCapacity: true)
        while try message.next() {
            switch message.field {
            case 2: point.setStart(try message.fixed64())
            case 3: point.nanos = try message.fixed64()
            case 4: count = try message.fixed64()
            case 5: sum = try message.double()
            // Quantiles wait here until the labels are known.
            case 6: exemplars.append(try message.message())
            case 7: try attributes.add(message.message())
            case 8: point.flags = try message.uint32()
            default: try message.skip()
            }
        }
        guard beginPoint(point) else { return }
        addSample(try addSeries(metric.names.sumName), point, sum)
        addSample(try addSeries(metric.names.countName), point, Double(count))
        for var quantile in exemplars {
            var at = 0.0, value = 0.0
            while try quantile.next() {
                switch quantile.field {
                case 1: at = try quantile.double()
                case 2: value = try quantile.double()
                default: try quantile.skip()
                }
            }
            text.removeAll(keepingCapacity: true)
            appendFloatPlain(at, into: &text)
            addSample(try addSeries(metric.name, "quantile", text), point, value)
        }
    }
}
