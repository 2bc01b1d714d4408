// SPDX-License-Identifier: Apache-2.0
// The protobuf exposition: delimited MetricFamily messages.

import Base
import Telemetry

/// `io.prometheus.client.MetricFamily` messages, each preceded by its length: the only exposition
/// that carries native histograms.
///
/// Source: prometheus/prometheus `prompb/io/prometheus/client/metrics.proto`,
/// `model/textparse/protobufparse.go`.
package enum MetricFamilies {
    package struct Options: Sendable {
        /// Keeps the classic buckets of histograms that are native as well.
        package var keepsClassicHistograms = false
        /// Ignores what is native in histograms.
        package var ignoresNativeHistograms = false
        /// Makes classic histograms that are not native as well native ones with custom bounds.
        package var convertsClassicHistograms = false
        /// Bytes of labels and histograms that an exposition may unfold to: every bucket repeats
        /// the labels of its metric. At most 2 GiB.
        package var arenaBytes = 512 << 20

        package init() {}
    }

    /// Decodes an exposition.
    ///
    /// - Parameter scrapeMillis: time of points whose metric has none.
    /// - Throws: `ExpositionError` for bytes that are no such messages, labels that occur twice or
    ///   are not UTF-8, and invalid histograms: the scrape has failed then.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, scrapeMillis: Int64, options: Options = Options()
    ) throws(ExpositionError) -> ExpositionBatch {
        guard bytes.count <= Exposition.maxBytes else {
            throw ExpositionError(
                "exposition of more than \(Exposition.maxBytes) bytes", offset: 0)
        }
        var decoder = FamilyDecoder(scrapeMillis: scrapeMillis, options: options)
        var reader = ProtobufReader(bytes)
        do throws(MalformedBytes) {
            while !reader.isAtEnd {
                let count = try reader.rawVarint()
                guard count <= UInt64(reader.remaining) else {
                    throw reader.malformed("metric family of \(count) bytes")
                }
                let end = reader.offset + Int(count)
                try decoder.family(
                    ProtobufReader(base: reader.base, offset: reader.offset, end: end))
                reader.offset = end
            }
        } catch {
            throw ExpositionError("proto: \(error)", offset: error.offset)
        }
        return decoder.finish()
    }
}

/// Decodes one family after another into a batch.
private struct FamilyDecoder: ~Copyable {
    private var result = ExpositionBatch()
    private let scrapeMillis: Int64
    private let options: MetricFamilies.Options
    private var name: [UInt8] = []
    private var base = LabelSetBuffer()
    private var series = LabelSetBuffer()
    private var text: [UInt8] = []
    /// Names of the labels without value of the metric at hand.
    private var empty: [String] = []
    private var classic = ClassicHistogram()
    private let maxArenaBytes: Int
    /// Time of the metric at hand.
    private var millis: Int64 = 0
    private var isExplicit = false

    init(scrapeMillis: Int64, options: MetricFamilies.Options) {
        self.scrapeMillis = scrapeMillis
        self.options = options
        maxArenaBytes = min(options.arenaBytes > 0 ? options.arenaBytes : .max, 2 << 30)
    }

    consuming func finish() -> ExpositionBatch { result }

    mutating func family(_ message: ProtobufReader) throws(MalformedBytes) {
        var first = message
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var help = name, unit = name
        var number: UInt32 = 0
        while try first.next() {
            switch first.field {
            case 1: name = try first.bytes()
            case 2: help = try first.bytes()
            case 3: number = try first.uint32()
            case 5: unit = try first.bytes()
            default: try first.skip()
            }
        }
        guard !name.isEmpty, isValidUTF8(name), isValidUTF8(help), isValidUTF8(unit) else {
            throw first.malformed("name, help and unit of a metric family in UTF-8")
        }
        let types: [MetricType] = [
            .counter, .gauge, .summary, .unknown, .histogram, .gaugeHistogram,
        ]
        let type = types.indices.contains(Int(number)) ? types[Int(number)] : .unknown
        self.name.removeAll(keepingCapacity: true)
        self.name.append(contentsOf: name)
        result.batch.addMetadata(family: name, type: type, help: help, unit: unit)
        var second = message
        while try second.next() {
            if second.field == 4 {
                try metric(second.message(), type)
            } else {
                try second.skip()
            }
        }
    }

    private mutating func metric(
        _ message: ProtobufReader, _ type: MetricType
    ) throws(MalformedBytes) {
        var message = message
        var data: (field: UInt32, message: ProtobufReader)?
        base.reset()
        empty.removeAll(keepingCapacity: true)
        millis = scrapeMillis
        isExplicit = false
        while try message.next() {
            switch message.field {
            case 1: try label(message.message(), exemplar: false)
            case 2, 3, 4, 5, 7: data = (message.field, try message.message())
            case 6:
                let stated = try message.int64()
                if stated != 0 {
                    millis = stated
                    isExplicit = true
                }
            default: try message.skip()
            }
        }
        if let name = base.firstDuplicate() {
            throw message.malformed("label name \"\(name)\" only once in a metric")
        }
        guard let data else { return }
        switch data.field {
        case 2, 5: try simple(data.message, startField: 0)
        case 3: try simple(data.message, startField: 3)
        case 4: try summary(data.message)
        default: try histogram(data.message, type)
        }
    }

    private mutating func label(
        _ message: ProtobufReader, exemplar: Bool
    ) throws(MalformedBytes) {
        var message = message
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var value = name
        while try message.next() {
            switch message.field {
            case 1: name = try message.bytes()
            case 2: value = try message.bytes()
            default: try message.skip()
            }
        }
        guard !name.isEmpty, isValidUTF8(name), isValidUTF8(value) else {
            throw message.malformed("label with a name, in UTF-8")
        }
        if exemplar {
            series.append(name, value)
            return
        }
        base.append(name, value)
        if value.isEmpty, empty.count < 64 { empty.append(String(decoding: name, as: UTF8.self)) }
    }

    // MARK: points

    private mutating func addSeries(
        _ suffix: StaticString = "", _ label: StaticString? = nil, _ number: Double = 0
    ) throws(MalformedBytes) -> UInt32 {
        guard result.batch.arena.count < maxArenaBytes else {
            throw MalformedBytes(
                offset: 0, expected: "labels of at most \(maxArenaBytes) bytes in an exposition")
        }
        series.reset()
        let plain = name.count
        name.append(contentsOf: suffix.bytes)
        name.withUnsafeBytes { series.append("__name__", $0) }
        name.removeSubrange(plain...)
        if let label {
            text.removeAll(keepingCapacity: true)
            appendOpenMetricsFloat(number, into: &text)
            text.withUnsafeBytes { series.append(label, $0) }
        }
        series.append(canonical: base.bytes)
        _ = series.seal()
        result.batch.series.append(series.keep(in: &result.batch.arena))
        let index = UInt32(truncatingIfNeeded: result.batch.series.count - 1)
        for name in empty { result.emptyLabels.append((index, name)) }
        return index
    }

    private mutating func add(_ series: UInt32, _ value: Double, start: Int64) {
        let isOrdinary = !value.isNaN
        result.batch.addSample(
            series: series, millis: millis,
            value: isOrdinary ? value : Double(bitPattern: StaleMarker.ordinaryNaNBits),
            startMillis: start)
        result.isExplicit.append(isExplicit)
    }

    /// Counter, gauge and untyped.
    private mutating func simple(
        _ message: ProtobufReader, startField: UInt32
    ) throws(MalformedBytes) {
        var message = message
        var value = 0.0
        var start: Int64 = 0
        var exemplar: ProtobufReader?
        while try message.next() {
            switch message.field {
            case 1: value = try message.double()
            case 2 where startField != 0: exemplar = try message.message()
            case 3 where startField != 0: start = try timestamp(message.message())
            default: try message.skip()
            }
        }
        let series = try addSeries()
        add(series, value, start: start)
        if let exemplar { try addExemplar(exemplar, series) }
    }

    private mutating func summary(_ message: ProtobufReader) throws(MalformedBytes) {
        var first = message
        var count: UInt64 = 0
        var sum = 0.0
        var start: Int64 = 0
        while try first.next() {
            switch first.field {
            case 1: count = try first.uint64()
            case 2: sum = try first.double()
            case 4: start = try timestamp(first.message())
            default: try first.skip()
            }
        }
        add(try addSeries("_count"), Double(count), start: start)
        add(try addSeries("_sum"), sum, start: start)
        var second = message
        while try second.next() {
            guard second.field == 3 else {
                try second.skip()
                continue
            }
            var quantile = try second.message()
            var at = 0.0, value = 0.0
            while try quantile.next() {
                switch quantile.field {
                case 1: at = try quantile.double()
                case 2: value = try quantile.double()
                default: try quantile.skip()
                }
            }
            add(try addSeries("", "quantile", at), value, start: start)
        }
    }

    private mutating func histogram(
        _ message: ProtobufReader, _ type: MetricType
    ) throws(MalformedBytes) {
        var native = NativeHistogram()
        var start: Int64 = 0
        var buckets: [ProtobufReader] = []
        var exemplars: [ProtobufReader] = []
        try readNative(message, &native, &start, &buckets, &exemplars)
        let isGauge = type == .gaugeHistogram
        let isNative =
            !options.ignoresNativeHistograms
            && (native.zeroThreshold > 0 || native.zeroCount > 0 || !native.positiveSpans.isEmpty
                || !native.negativeSpans.isEmpty)
        var isConverted = false
        if isNative {
            native.counterReset = isGauge ? .gauge : .unknown
            do throws(InvalidHistogram) {
                try native.validate()
            } catch {
                throw message.malformed("a valid histogram: \(error)")
            }
            let series = try addHistogram(native, start: start)
            // These exemplars must state their time, as must those taken from buckets instead.
            for exemplar in exemplars { try addExemplar(exemplar, series, needsTime: true) }
            if exemplars.isEmpty {
                for bucket in buckets {
                    if let exemplar = try self.bucket(bucket).exemplar {
                        try addExemplar(exemplar, series, needsTime: true)
                    }
                }
            }
            if buckets.isEmpty { return }
        } else if options.convertsClassicHistograms {
            isConverted = try convert(buckets, native, isGauge: isGauge, start: start)
        }
        if isNative || isConverted, !options.keepsClassicHistograms { return }
        add(try addSeries(isGauge ? "_gcount" : "_count"), native.count, start: start)
        add(try addSeries(isGauge ? "_gsum" : "_sum"), native.sum, start: start)
        var hasInfinite = false
        for bucket in buckets {
            let (bound, count, exemplar) = try self.bucket(bucket)
            hasInfinite = hasInfinite || bound == .infinity
            let series = try addSeries("_bucket", "le", bound)
            add(series, count, start: start)
            if let exemplar { try addExemplar(exemplar, series) }
        }
        if !hasInfinite {
            add(try addSeries("_bucket", "le", .infinity), native.count, start: start)
        }
    }

    private mutating func addHistogram(
        _ native: NativeHistogram, start: Int64
    ) throws(MalformedBytes) -> UInt32 {
        let series = try addSeries()
        result.batch.addHistogram(series: series, millis: millis, native, startMillis: start)
        result.isHistogramExplicit.append(isExplicit)
        return series
    }

    /// Adds classic buckets as one histogram; false when they contradict each other, and are kept
    /// as they are then.
    private mutating func convert(
        _ buckets: [ProtobufReader], _ native: NativeHistogram, isGauge: Bool, start: Int64
    ) throws(MalformedBytes) -> Bool {
        classic.reset()
        classic.count = native.count
        classic.sum = native.sum
        var exemplars: [ProtobufReader] = []
        var converted: NativeHistogram
        do {
            for bucket in buckets {
                let (bound, count, exemplar) = try self.bucket(bucket)
                try classic.add(bound: bound, cumulative: count)
                if let exemplar { exemplars.append(exemplar) }
            }
            converted = try classic.native()
        } catch let error as MalformedBytes {
            throw error
        } catch { return false }
        converted.counterReset = isGauge ? .gauge : .unknown
        let series = try addHistogram(converted, start: start)
        for exemplar in exemplars { try addExemplar(exemplar, series) }
        return true
    }

    private func readNative(
        _ message: ProtobufReader, _ native: inout NativeHistogram, _ start: inout Int64,
        _ buckets: inout [ProtobufReader], _ exemplars: inout [ProtobufReader]
    ) throws(MalformedBytes) {
        var message = message
        let limit = NativeHistogram.maxBuckets
        var count: UInt64 = 0, zero: UInt64 = 0
        var countFloat = 0.0, zeroFloat = 0.0
        var positive: [Int64] = [], negative: [Int64] = []
        while try message.next() {
            switch message.field {
            case 1: count = try message.uint64()
            case 2: native.sum = try message.double()
            case 3:
                guard buckets.count < limit else {
                    throw message.malformed("at most \(limit) classic buckets")
                }
                buckets.append(try message.message())
            case 4: countFloat = try message.double()
            case 5: native.schema = try message.sint32()
            case 6: native.zeroThreshold = try message.double()
            case 7: zero = try message.uint64()
            case 8: zeroFloat = try message.double()
            case 9: native.negativeSpans.append(try span(message.message(), native.negativeSpans))
            case 10: try message.repeatedSInt64(into: &negative, limit: limit)
            case 11: try message.repeatedDouble(into: &native.negativeBuckets, limit: limit)
            case 12: native.positiveSpans.append(try span(message.message(), native.positiveSpans))
            case 13: try message.repeatedSInt64(into: &positive, limit: limit)
            case 14: try message.repeatedDouble(into: &native.positiveBuckets, limit: limit)
            case 15: start = try timestamp(message.message())
            case 16:
                guard exemplars.count < limit else {
                    throw message.malformed("at most \(limit) exemplars of a histogram")
                }
                exemplars.append(try message.message())
            default: try message.skip()
            }
        }
        native.isInteger = countFloat <= 0 && zeroFloat <= 0
        native.count = native.isInteger ? Double(count) : countFloat
        native.zeroCount = native.isInteger ? Double(zero) : zeroFloat
        if native.isInteger {
            RemoteWriteHistogramDecoder.accumulate(positive, into: &native.positiveBuckets)
            RemoteWriteHistogramDecoder.accumulate(negative, into: &native.negativeBuckets)
        }
    }

    private func span(
        _ message: ProtobufReader, _ known: [NativeHistogram.Span]
    ) throws(MalformedBytes) -> NativeHistogram.Span {
        var message = message
        guard known.count < NativeHistogram.maxBuckets else {
            throw message.malformed("at most \(NativeHistogram.maxBuckets) spans")
        }
        var span = NativeHistogram.Span(offset: 0, length: 0)
        while try message.next() {
            switch message.field {
            case 1: span.offset = try message.sint32()
            case 2: span.length = try message.uint32()
            default: try message.skip()
            }
        }
        return span
    }

    private func bucket(
        _ message: ProtobufReader
    ) throws(MalformedBytes) -> (bound: Double, count: Double, exemplar: ProtobufReader?) {
        var message = message
        var bound = 0.0, count = 0.0, countFloat = 0.0
        var exemplar: ProtobufReader?
        while try message.next() {
            switch message.field {
            case 1: count = Double(try message.uint64())
            case 2: bound = try message.double()
            case 3: exemplar = try message.message()
            case 4: countFloat = try message.double()
            default: try message.skip()
            }
        }
        return (bound, countFloat > 0 ? countFloat : count, exemplar)
    }

    private mutating func addExemplar(
        _ message: ProtobufReader, _ target: UInt32, needsTime: Bool = false
    ) throws(MalformedBytes) {
        var message = message
        var value = 0.0
        var stated: Int64?
        series.reset()
        while try message.next() {
            switch message.field {
            case 1: try label(message.message(), exemplar: true)
            case 2: value = try message.double()
            case 3: stated = try timestamp(message.message())
            default: try message.skip()
            }
        }
        if needsTime, stated == nil { return }
        // An exemplar whose labels are no label set is left out: it fails no scrape.
        guard series.seal() else { return }
        result.batch.addExemplar(
            series: target, millis: stated ?? millis, value: value, labels: series.bytes)
    }

    /// `google.protobuf.Timestamp` in milliseconds; what does not fit is cut to the ends.
    private func timestamp(_ message: ProtobufReader) throws(MalformedBytes) -> Int64 {
        var message = message
        var seconds: Int64 = 0
        var nanos: Int32 = 0
        while try message.next() {
            switch message.field {
            case 1: seconds = try message.int64()
            case 2: nanos = try message.int32()
            default: try message.skip()
            }
        }
        let (millis, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carry) = millis.addingReportingOverflow(Int64(nanos / 1_000_000))
        return carry ? millis : sum
    }
}
