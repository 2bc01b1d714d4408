// SPDX-License-Identifier: Apache-2.0
// First stage of a metrics query: spans in, series out.

import Base
import Telemetry

/// What a first stage makes of the spans of an interval.
enum MetricsFunction {
    case rate, count, minimum, maximum, sum, average
    case quantile([Double])
    case histogram
}

/// Counts spans by group and interval.
///
/// Holds one number per group and interval (an average three, a quantile a sketch) and reserves its
/// memory from the query's budget. Observing a span allocates nothing unless it opens a group.
struct SpanAccumulator: SpanCounting {
    private let name: String
    private let function: MetricsFunction
    private let grid: MetricsGrid
    private let measured: CompiledAttribute?
    private let grouping: [CompiledAttribute]
    private let isExtrapolated: Bool
    private var groups = GroupTable()
    private var key = ByteWriter(reserving: 256)
    /// Of each group `grid.count` numbers: counts, extremes or sums.
    private var numbers: [Double] = []
    /// What sums lost by rounding.
    private var compensations: [Double] = []
    private var weights: [Double] = []
    private var sketches: [QuantileSketch] = []
    private var exemplars: ExemplarPicker

    init(
        _ aggregation: MetricsAggregation, _ function: MetricsFunction, _ grid: MetricsGrid,
        maxExemplars: Int, isExtrapolated: Bool
    ) {
        name = aggregation.function
        self.function = function
        self.grid = grid
        self.isExtrapolated = isExtrapolated
        measured = aggregation.attribute.map(CompiledAttribute.init)
        grouping = aggregation.grouping.map(CompiledAttribute.init)
        exemplars = ExemplarPicker(grid, limit: maxExemplars)
        // Counting without groups answers zeros when there is no span.
        switch function {
        case .rate, .count:
            if grouping.isEmpty { open(groups.number(of: [])) }
        default: break
        }
    }

    // MARK: spans

    mutating func observe(_ spans: SpanReader, _ row: Int, _ context: ReadContext) throws -> Bool {
        guard let interval = grid.interval(of: spans.batch.startNanos[row]) else { return false }
        let weight =
            isExtrapolated
            ? SamplingWeight.weight(traceState: spans.bytes(spans.batch.traceStates[row])) : 1
        guard let measured else {
            let group = try group(spans, row, bucket: nil, context)
            numbers[group * grid.count + interval] += weight
            offer(spans, row, group, nil)
            return true
        }
        switch spans.value(measured.attribute, name: measured.name.buffer, row) {
        case .list(let items):
            // Several values at once, such as one per event, each count.
            var isCounted = false
            for item in items {
                let counts = try add(item, spans, row, interval, weight, context)
                isCounted = isCounted || counts
            }
            return isCounted
        case let value: return try add(value, spans, row, interval, weight, context)
        }
    }

    /// False for what is no number.
    private mutating func add(
        _ value: SpanValue, _ spans: SpanReader, _ row: Int, _ interval: Int, _ weight: Double,
        _ context: ReadContext
    ) throws -> Bool {
        let number: Double
        switch value {
        case .int(let whole): number = Double(whole)
        case .duration(let nanos): number = Double(nanos) / 1e9
        case .float(let real): number = real
        default: return false
        }
        if number.isNaN { return false }
        switch function {
        case .quantile, .histogram: if !number.isFinite { return false }
        default: break
        }
        var bucket: Int16?
        if case .histogram = function { bucket = HistogramBuckets.exponent(value) }
        let isSeconds = if case .duration = value { true } else { false }
        let group = try group(
            spans, row, bucket: bucket.map { ($0, isSeconds) }, context)
        let place = group * grid.count + interval
        switch function {
        case .rate, .count, .histogram: numbers[place] += weight
        case .minimum:
            if numbers[place].isNaN || number < numbers[place] { numbers[place] = number }
        case .maximum:
            if numbers[place].isNaN || number > numbers[place] { numbers[place] = number }
        case .sum, .average:
            if numbers[place].isNaN { numbers[place] = 0 }
            addCompensated(number * weight, place)
            if case .average = function { weights[place] += weight }
        case .quantile: try context.reserve(sketches[place].add(number, weight: weight))
        }
        if case .histogram = function {
            offer(spans, row, group, nil)
        } else {
            offer(spans, row, group, number)
        }
        return true
    }

    /// Source of the method: Neumaier (1974).
    private mutating func addCompensated(_ value: Double, _ place: Int) {
        let sum = numbers[place]
        let next = sum + value
        if next.isFinite {
            compensations[place] +=
                sum.magnitude >= value.magnitude ? (sum - next) + value : (value - next) + sum
        }
        numbers[place] = next
    }

    private mutating func group(
        _ spans: SpanReader, _ row: Int, bucket: (exponent: Int16, isSeconds: Bool)?,
        _ context: ReadContext
    ) throws -> Int {
        if grouping.isEmpty, bucket == nil, groups.count == 1 { return 0 }
        key.bytes.removeAll(keepingCapacity: true)
        for attribute in grouping {
            spans.value(attribute.attribute, name: attribute.name.buffer, row).encode(into: &key)
        }
        if let bucket {
            key.fixed(bucket.exponent)
            key.u8(bucket.isSeconds ? 1 : 0)
        }
        let group = groups.number(of: key.bytes)
        if group * grid.count == max(numbers.count, sketches.count) {
            let perInterval =
                switch function {
                case .quantile: MemoryLayout<QuantileSketch>.stride
                case .average: 24
                case .sum: 16
                default: 8
                }
            try context.reserve(key.count + 64 + grid.count * perInterval)
            open(group)
        }
        return group
    }

    private mutating func open(_ group: Int) {
        let count = grid.count
        switch function {
        case .rate, .count, .histogram: numbers += repeatElement(0, count: count)
        case .minimum, .maximum: numbers += repeatElement(.nan, count: count)
        case .sum, .average:
            numbers += repeatElement(.nan, count: count)
            compensations += repeatElement(0, count: count)
            if case .average = function { weights += repeatElement(0, count: count) }
        case .quantile: sketches += repeatElement(QuantileSketch(), count: count)
        }
    }

    private mutating func offer(_ spans: SpanReader, _ row: Int, _ group: Int, _ value: Double?) {
        exemplars.offer(
            spans.batch.traceIDs[row], spans.batch.spanIDs[row],
            nanos: spans.batch.startNanos[row], value: value, groups: { [group] })
    }

    // MARK: series

    func series(_ context: ReadContext) throws -> [SeriesColumn] {
        var result: [SeriesColumn] = []
        var picks: [Int: [ExemplarPicker.Pick]] = [:]
        for pick in exemplars.picks {
            for group in pick.groups { picks[group, default: []].append(pick) }
        }
        for group in 0..<groups.count {
            if group & 255 == 255 { try context.check() }
            var labels = try labels(group)
            let found = picks[group] ?? []
            if case .quantile(let quantiles) = function {
                result += quantileSeries(group, labels, quantiles, found)
                continue
            }
            let values = (0..<grid.count).map { value(group * grid.count + $0) }
            if labels.isEmpty { labels = [MetricsLabel(MetricsLabel.metricName, .string(name))] }
            result.append(SeriesColumn(labels, values, found.map(SeriesColumn.Exemplar.init)))
        }
        return result
    }

    private func value(_ place: Int) -> Double {
        switch function {
        case .rate: numbers[place] / (Double(grid.stepNanos) / 1e9)
        case .sum: finite(numbers[place], plus: compensations[place])
        case .average: finite(numbers[place], plus: compensations[place]) / weights[place]
        case .count, .minimum, .maximum, .histogram, .quantile: numbers[place]
        }
    }

    private func finite(_ sum: Double, plus compensation: Double) -> Double {
        sum.isFinite ? sum + compensation : sum
    }

    /// One series per quantile; an exemplar goes to the one that is nearest to it in its interval.
    private func quantileSeries(
        _ group: Int, _ labels: [MetricsLabel], _ quantiles: [Double],
        _ picks: [ExemplarPicker.Pick]
    ) -> [SeriesColumn] {
        var series = quantiles.map { quantile in
            SeriesColumn(
                labels + [MetricsLabel("p", .double(quantile))],
                (0..<grid.count).map { sketches[group * grid.count + $0].quantile(quantile) }, [])
        }
        for pick in picks {
            guard let interval = grid.interval(of: pick.nanos), let value = pick.value else {
                continue
            }
            let nearest = series.indices.min { a, b in
                (series[a].values[interval] - value).magnitude
                    < (series[b].values[interval] - value).magnitude
            }
            if let nearest { series[nearest].exemplars.append(SeriesColumn.Exemplar(pick)) }
        }
        return series
    }

    /// In the order of `by()`; what no span of the group has is left out, unless that is all.
    private func labels(_ group: Int) throws -> [MetricsLabel] {
        var labels: [MetricsLabel] = []
        try groups.key(group).withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            for attribute in grouping {
                if let value = try SpanValue.decode(&reader) {
                    labels.append(MetricsLabel(attribute.attribute.text, value))
                }
            }
            if !reader.isAtEnd {
                let exponent = try reader.fixed(Int16.self)
                let isSeconds = try reader.u8() == 1
                labels.append(
                    MetricsLabel(
                        "__bucket", .double(HistogramBuckets.bound(exponent, isSeconds: isSeconds)))
                )
            }
        }
        if labels.isEmpty, let first = grouping.first {
            labels.append(MetricsLabel(first.attribute.text, .string("nil")))
        }
        return labels
    }
}

/// Powers of two, as Tempo's `histogram_over_time` has them.
enum HistogramBuckets {
    /// What is not above zero.
    private static let zero = Int16.min

    /// The bucket of a number: the smallest power of two that is not below it; of nanoseconds for
    /// durations.
    static func exponent(_ value: SpanValue) -> Int16 {
        switch value {
        case .int(let number), .duration(let number):
            if number <= 0 { return zero }
            return number == 1 ? 0 : Int16(64 - (number - 1).leadingZeroBitCount)
        case .float(let number):
            if number <= 0 || !number.isFinite { return zero }
            return Int16(number.exponent) + (number.significand == 1 ? 0 : 1)
        default: return zero
        }
    }

    /// Upper bound, in seconds for durations.
    static func bound(_ exponent: Int16, isSeconds: Bool) -> Double {
        if exponent == zero { return 0 }
        let bound = Double(sign: .plus, exponent: Int(exponent), significand: 1)
        return isSeconds ? bound / 1e9 : bound
    }
}
