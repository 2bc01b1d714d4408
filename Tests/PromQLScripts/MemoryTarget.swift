// SPDX-License-Identifier: Apache-2.0
// Scripts against the engine in this process.

import Base
import PromQL
import Telemetry
import TestKit

/// The engine over a store in memory, in this process.
package struct MemoryTarget: ScriptTarget {
    private var store = InMemorySeries()
    private let options: PromQLOptions

    /// - Parameter slicing: how expressions are cut.
    package init(slicing: Slicing = Slicing()) {
        var options = PromQLOptions()
        options.slicing = slicing
        options.delayedNameRemoval = true
        options.useStartTimestamps = true
        self.options = options
    }

    private var engine: PromQLEngine { PromQLEngine(reader: store, options: options) }
    private var context: ReadContext {
        ReadContext(timeoutSeconds: 100, now: { SystemClock().monotonicNanos })
    }

    package mutating func clear() { store.removeAll() }

    package mutating func load(_ load: Script.Load) {
        for (labels, samples) in load.columns { store.append(labels, samples.withHintsOfChunks) }
    }

    package func query(_ text: String, at millis: Int64) throws -> ScriptAnswer {
        ScriptAnswer(try engine.query(text, at: Millis(millis), context: context))
    }

    package func queryRange(
        _ text: String, start: Int64, end: Int64, step: Int64
    ) throws -> ScriptAnswer {
        ScriptAnswer(
            try engine.queryRange(
                text, start: Millis(start), end: Millis(end), stepMillis: step, context: context))
    }
}

extension Script.Load {
    /// The series to store, those that classic histograms are converted to among them.
    var columns: [Labels: SampleColumns] {
        var columns: [Labels: SampleColumns] = [:]
        for line in series {
            var samples = SampleColumns()
            for (index, item) in line.items.enumerated() {
                let millis = Int64(index) * stepMillis
                let offset = index < line.starts.count ? line.starts[index] : nil
                let start = offset.map { millis + $0 } ?? 0
                switch item {
                case .missing: break
                case .float(let value):
                    samples.append(millis: millis, value: value, startMillis: start)
                case .histogram(let histogram, _):
                    samples.append(millis: millis, histogram: histogram, startMillis: start)
                }
            }
            columns[line.labels] = samples
        }
        if convertsClassicHistograms {
            for (labels, samples) in ClassicConversion(columns).converted {
                columns[labels] = samples
            }
        }
        return columns
    }
}

extension SampleColumns {
    /// Counter-reset hints as Prometheus' store returns them: samples go into one chunk until the
    /// counter is reset or the layout changes; within a chunk there is no reset, and of the first
    /// sample of a chunk nothing is known.
    fileprivate var withHintsOfChunks: SampleColumns {
        var result = self
        var previous: NativeHistogram?
        for i in histograms.indices {
            defer { previous = histograms[i] }
            guard let current = histograms[i], current.counterReset != .gauge, !current.isStale
            else { continue }
            var unhinted = current
            unhinted.counterReset = .unknown
            if let previous, previous.counterReset != .gauge, !previous.isStale,
                current.counterReset != .reset, current.schema == previous.schema,
                current.zeroThreshold == previous.zeroThreshold,
                current.customBounds == previous.customBounds,
                !unhinted.isReset(after: previous)
            {
                unhinted.counterReset = .notReset
            }
            result.histograms[i] = unhinted
        }
        return result
    }
}

/// Classic histogram series as native histograms with custom bounds.
private struct ClassicConversion {
    private struct Point {
        var buckets: [Double: Double] = [:]
        var count: Double?
        var sum = 0.0
    }
    private(set) var converted: [Labels: SampleColumns] = [:]

    init(_ columns: [Labels: SampleColumns]) {
        var points: [Labels: [Int64: Point]] = [:]
        for (labels, samples) in columns {
            guard let name = labels["__name__"] else { continue }
            for suffix in ["_bucket", "_count", "_sum"] where name.hasSuffix(suffix) {
                let target = labels.without(["le"]).setting(
                    "__name__", String(name.dropLast(suffix.count)))
                let bound = labels["le"].flatMap { parseFloat($0) }
                if suffix == "_bucket", bound == nil || bound?.isNaN == true { continue }
                for i in 0..<samples.count {
                    if !samples.histograms.isEmpty, samples.histograms[i] != nil { continue }
                    let value = samples.values[i]
                    var point = points[target, default: [:]][samples.millis[i]] ?? Point()
                    switch suffix {
                    case "_bucket": point.buckets[bound ?? .nan] = value
                    case "_count": point.count = value
                    default: point.sum = value
                    }
                    points[target, default: [:]][samples.millis[i]] = point
                }
            }
        }
        for (labels, byTime) in points {
            var samples = SampleColumns()
            for (millis, point) in byTime.sorted(by: { $0.key < $1.key }) {
                samples.append(millis: millis, histogram: ClassicConversion.histogram(point))
            }
            converted[labels] = samples
        }
    }

    private static func histogram(_ point: Point) -> NativeHistogram {
        var result = NativeHistogram()
        result.schema = NativeHistogram.customSchema
        let bounds = point.buckets.keys.sorted()
        result.customBounds = bounds.filter { $0 != .infinity }
        let total =
            point.count ?? point.buckets[.infinity] ?? bounds.last.map {
                point.buckets[$0] ?? 0
            } ?? 0
        var previous = 0.0
        var counts: [Double] = []
        for bound in result.customBounds {
            let cumulative = point.buckets[bound] ?? 0
            counts.append(cumulative - previous)
            previous = cumulative
        }
        counts.append(total - previous)
        result.count = total
        result.sum = point.sum
        result.positiveSpans = [NativeHistogram.Span(offset: 0, length: UInt32(counts.count))]
        result.positiveBuckets = counts
        return result.compacted()
    }
}
