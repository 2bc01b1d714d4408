// SPDX-License-Identifier: Apache-2.0
// OTLP histograms as classic series and native histograms.

import Base
import Telemetry

extension OTLPMetricAssembly {
    /// A point of a histogram with explicit bounds.
    mutating func histogramPoint(_ message: ProtobufReader) throws(MalformedBytes) {
        var message = message
        var point = OTLPPoint()
        var count: UInt64 = 0
        var sum: Double?
        let limit = NativeHistogram.maxBuckets
        attributes.reset()
        exemplars.removeAll(keepingCapacity: true)
        bounds.removeAll(keepingCapacity: true)
        counts.removeAll(keepingCapacity: true)
        while try message.next() {
            switch message.field {
            case 2: point.setStart(try message.fixed64())
            case 3: point.nanos = try message.fixed64()
            case 4: count = try message.fixed64()
            case 5: sum = try message.double()
            case 6: try message.repeatedFixed64(into: &counts, limit: limit)
            case 7: try message.repeatedDouble(into: &bounds, limit: limit)
            case 8: exemplars.append(try message.message())
            case 9: try attributes.add(message.message())
            case 10: point.flags = try message.uint32()
            default: try message.skip()
            }
        }
        if !counts.isEmpty || !bounds.isEmpty, counts.count != bounds.count + 1 {
            result.reject(
                1,
                "metric \(quotedText(metric.otlpName)): histogram with \(bounds.count) bounds and "
                    + "\(counts.count) buckets instead of one more")
            return
        }
        guard beginPoint(point) else { return }
        if options.settings.convertsHistogramsToCustomBuckets {
            try customBuckets(point, count, sum)
        } else {
            try classicSeries(point, count, sum)
        }
    }

    private mutating func classicSeries(
        _ point: OTLPPoint, _ count: UInt64, _ sum: Double?
    ) throws(MalformedBytes) {
        let start = result.batch.sampleSeries.count
        if let sum { addSample(try addSeries(metric.names.sumName), point, sum) }
        let key = result.batch.sampleSeries.count
        addSample(try addSeries(metric.names.countName), point, Double(count))
        textBounds()
        let first = UInt32(result.batch.series.count)
        var cumulative: UInt64 = 0
        for i in bounds.indices {
            cumulative &+= counts[i]
            let series = try addSeries(metric.names.bucketName, "le", boundTexts[i])
            addSample(series, point, Double(cumulative))
        }
        let last = try addSeries(metric.names.bucketName, "le", Self.infinity)
        addSample(last, point, Double(count))
        noteDelta(samples: start, key: key, isStale: point.isStale)
        if exemplars.isEmpty { return }
        let bounds = bounds
        for exemplar in exemplars {
            try addExemplar(exemplar, point) { value in
                // The first bucket whose bound is not below the value.
                var low = 0, high = bounds.count
                while low < high {
                    let middle = (low + high) / 2
                    if bounds[middle] < value { low = middle + 1 } else { high = middle }
                }
                return first + UInt32(low)
            }
        }
    }

    private mutating func textBounds() {
        if textedBounds == bounds { return }
        textedBounds = bounds
        boundTexts = bounds.map { bound in
            var text: [UInt8] = []
            appendFloatPlain(bound, into: &text)
            return text
        }
    }

    private mutating func customBuckets(
        _ point: OTLPPoint, _ count: UInt64, _ sum: Double?
    ) throws(MalformedBytes) {
        var histogram = NativeHistogram()
        histogram.schema = NativeHistogram.customSchema
        histogram.isInteger = true
        if point.isStale {
            histogram.sum = StaleMarker.value
        } else {
            histogram.count = Double(count)
            histogram.sum = sum ?? 0
            histogram.customBounds = bounds
            if histogram.customBounds.last == .infinity { histogram.customBounds.removeLast() }
            var runs = BucketRuns()
            for (i, bucket) in counts.enumerated() { runs.append(Int64(i), Double(bucket)) }
            histogram.positiveSpans = runs.spans
            histogram.positiveBuckets = runs.buckets
        }
        try add(histogram, point)
    }

    /// A point of an exponential histogram.
    mutating func exponentialPoint(_ message: ProtobufReader) throws(MalformedBytes) {
        var message = message
        var point = OTLPPoint()
        var histogram = NativeHistogram()
        histogram.isInteger = true
        histogram.zeroThreshold = 1e-128
        var scale: Int32 = 0
        var positive: ProtobufReader?
        var negative: ProtobufReader?
        attributes.reset()
        exemplars.removeAll(keepingCapacity: true)
        while try message.next() {
            switch message.field {
            case 1: try attributes.add(message.message())
            case 2: point.setStart(try message.fixed64())
            case 3: point.nanos = try message.fixed64()
            case 4: histogram.count = Double(try message.fixed64())
            case 5: histogram.sum = try message.double()
            case 6: scale = try message.sint32()
            case 7: histogram.zeroCount = Double(try message.fixed64())
            case 8: positive = try message.message()
            case 9: negative = try message.message()
            case 10: point.flags = try message.uint32()
            case 11: exemplars.append(try message.message())
            case 14:
                let threshold = try message.double()
                if threshold > 0 { histogram.zeroThreshold = threshold }
            default: try message.skip()
            }
        }
        guard scale >= -4 else {
            result.reject(
                1,
                "metric \(quotedText(metric.otlpName)): cannot convert exponential to native "
                    + "histogram. Scale must be >= -4, was \(scale)")
            return
        }
        // Finer buckets than schema 8 are merged; each step halves the index.
        let scaleDown = Int64(max(Int64(scale) - 8, 0))
        histogram.schema = min(scale, 8)
        guard let buckets = try readBuckets(positive, scaleDown),
            let negatives = try readBuckets(negative, scaleDown)
        else {
            result.reject(
                1, "metric \(quotedText(metric.otlpName)): bucket index beyond 32 bits")
            return
        }
        if point.isStale {
            histogram = NativeHistogram()
            histogram.sum = StaleMarker.value
        } else {
            histogram.positiveSpans = buckets.spans
            histogram.positiveBuckets = buckets.buckets
            histogram.negativeSpans = negatives.spans
            histogram.negativeBuckets = negatives.buckets
        }
        guard beginPoint(point) else { return }
        try add(histogram, point)
    }

    /// Buckets of one side in Prometheus' numbering: its buckets are named by their
    /// upper bound, OTLP's by their lower. Nil when an index does not fit.
    private mutating func readBuckets(
        _ message: ProtobufReader?, _ scaleDown: Int64
    ) throws(MalformedBytes) -> BucketRuns? {
        guard var message else { return BucketRuns() }
        var offset: Int32 = 0
        counts.removeAll(keepingCapacity: true)
        while try message.next() {
            switch message.field {
            case 1: offset = try message.sint32()
            case 2:
                try message.repeatedUInt64(into: &counts, limit: NativeHistogram.maxBuckets)
            default: try message.skip()
            }
        }
        var runs = BucketRuns()
        var pending: (index: Int64, count: Double) = (0, 0)
        for (i, count) in counts.enumerated() where count > 0 {
            let index = ((Int64(offset) + Int64(i)) >> scaleDown) + 1
            guard Int32(exactly: index) != nil else { return nil }
            if index != pending.index {
                runs.append(pending.index, pending.count)
                pending = (index, 0)
            }
            pending.count += Double(count)
        }
        runs.append(pending.index, pending.count)
        return runs
    }

    /// Checks and keeps the histogram of the point at hand with its exemplars.
    private mutating func add(
        _ histogram: NativeHistogram, _ point: OTLPPoint
    ) throws(MalformedBytes) {
        do throws(InvalidHistogram) {
            try histogram.validate()
        } catch {
            let reason = error.description
            result.reject(1, "metric \(quotedText(metric.otlpName)): \(reason)")
            return
        }
        let series = try addSeries(metric.name)
        if metric.isDelta {
            result.deltas.append(
                OTLPDelta(
                    samples: 0..<0, key: 0, histogram: result.batch.histogramSeries.count,
                    layout: boundsHash(histogram.customBounds), isStale: point.isStale))
        }
        result.batch.addHistogram(
            series: series, millis: point.millis, histogram, startMillis: point.startMillis)
        for exemplar in exemplars { try addExemplar(exemplar, point) { _ in series } }
    }

    /// Lists the samples from `samples` to the last as a point of delta temporality.
    mutating func noteDelta(samples first: Int, key: Int, isStale: Bool) {
        guard metric.isDelta else { return }
        let samples = first..<result.batch.sampleSeries.count
        result.deltas.append(
            OTLPDelta(
                samples: samples, key: key, histogram: nil,
                layout: samples.count > 1 ? boundsHash(bounds) ^ UInt64(key - first) : 0,
                isStale: isStale))
    }

    private func boundsHash(_ bounds: [Double]) -> UInt64 {
        bounds.withUnsafeBytes { hash64($0) }
    }
}
