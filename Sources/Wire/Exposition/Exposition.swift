// SPDX-License-Identifier: Apache-2.0
// A whole exposition as one batch.

import Base
import Telemetry

/// What one scrape brought.
package struct ExpositionBatch: Sendable {
    /// Series and samples in the order of the text. In text formats sample i is of series i; in
    /// protobuf a series has one sample or one histogram.
    package var batch = MetricBatch()
    /// Whether sample i's line states its timestamp; the others carry the time of the scrape.
    package var isExplicit: [Bool] = []
    /// The same for histograms.
    package var isHistogramExplicit: [Bool] = []
    /// Labels that a series states without a value, ascending by series: with `honor_labels` they
    /// keep the target's labels of these names away. Protobuf only.
    package var emptyLabels: [(series: UInt32, name: String)] = []

    package init() {}
}

/// Text expositions as batches.
package enum Exposition {
    package struct Options: Sendable {
        /// Keeps OpenMetrics' `_created` series as series besides using them as start times.
        package var keepsCreatedSeries = false
        /// Demands what the OpenMetrics specification demands, beyond what Prometheus' scraper
        /// checks. For OpenMetrics only.
        package var isStrict = false

        package init() {}
    }

    /// Bytes of an exposition that are read.
    package static let maxBytes = 1 << 30

    /// Decodes an exposition; see `ExpositionParser` for what is accepted.
    ///
    /// - Parameter scrapeMillis: time of samples and exemplars whose line has none.
    /// - Throws: `ExpositionError` at the first line that cannot be read, and for a series that has
    ///   a label twice: as in Prometheus, the whole scrape has failed then.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, _ format: ExpositionFormat, scrapeMillis: Int64,
        options: Options = Options()
    ) throws(ExpositionError) -> ExpositionBatch {
        guard bytes.count <= maxBytes else {
            throw ExpositionError("exposition of more than \(maxBytes) bytes", offset: 0)
        }
        var result = ExpositionBatch()
        // A line has some 60 bytes or more.
        let expected = bytes.count / 64
        result.batch.arena.reserveCapacity(bytes.count)
        result.batch.series.reserveCapacity(expected)
        result.batch.sampleSeries.reserveCapacity(expected)
        result.batch.sampleMillis.reserveCapacity(expected)
        result.batch.sampleValues.reserveCapacity(expected)
        result.isExplicit.reserveCapacity(expected)

        var parser = ExpositionParser(bytes, format)
        var labels = LabelSetBuffer()
        var families = FamilyCollector()
        var strict = OpenMetricsRules()
        let isStrict = options.isStrict && format == .openMetrics
        while let entry = try parser.next() {
            if isStrict { try strict.check(entry, &parser) }
            guard entry == .series else {
                families.add(entry, &parser, to: &result.batch)
                continue
            }
            if !options.keepsCreatedSeries, parser.isCreated { continue }
            labels.reset()
            parser.appendLabels(to: &labels)
            guard labels.seal() else { throw duplicate(&parser, &labels) }
            let series = UInt32(truncatingIfNeeded: result.batch.series.count)
            result.batch.series.append(labels.keep(in: &result.batch.arena))
            let millis = parser.timestampMillis ?? scrapeMillis
            result.isExplicit.append(parser.timestampMillis != nil)
            result.batch.addSample(
                series: series, millis: millis, value: parser.value,
                startMillis: parser.startMillis())
            if parser.hasExemplar {
                labels.reset()
                parser.appendExemplarLabels(to: &labels)
                guard labels.seal() else { throw duplicate(&parser, &labels) }
                result.batch.addExemplar(
                    series: series, millis: parser.exemplarMillis ?? millis,
                    value: parser.exemplarValue, labels: labels.bytes)
            }
        }
        if isStrict { try strict.finish(parser) }
        families.flush(to: &result.batch)
        return result
    }

    private static func duplicate(
        _ parser: inout ExpositionParser, _ labels: inout LabelSetBuffer
    ) -> ExpositionError {
        labels.reset()
        parser.appendLabels(to: &labels)
        if labels.isSealed { parser.appendExemplarLabels(to: &labels) }
        let name = labels.firstDuplicate() ?? ""
        return parser.failure("label name \"\(name)\" is not unique: invalid sample")
    }
}

/// Joins the HELP, TYPE and UNIT lines of a family to one piece of metadata.
struct FamilyCollector {
    private var pending: MetricBatch.Metadata?

    mutating func add(
        _ entry: ExpositionParser.Entry, _ parser: inout ExpositionParser,
        to batch: inout MetricBatch
    ) {
        guard entry != .comment, entry != .series else { return }
        let type = parser.type
        parser.withMetadata { family, text in
            let isSame = pending.map { known in
                batch.arena.withSlice(known.family) { equalBytes($0, family) }
            }
            if isSame != true {
                flush(to: &batch)
                pending = MetricBatch.Metadata(
                    family: batch.arena.keep(family), type: .unknown, help: .empty, unit: .empty)
            }
            switch entry {
            case .help: pending?.help = batch.arena.keep(text)
            case .unit: pending?.unit = batch.arena.keep(text)
            case .type: pending?.type = type
            case .comment, .series: break
            }
        }
    }

    mutating func flush(to batch: inout MetricBatch) {
        if let pending { batch.metadata.append(pending) }
        pending = nil
    }
}
