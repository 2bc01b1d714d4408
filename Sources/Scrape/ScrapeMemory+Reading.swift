// SPDX-License-Identifier: Apache-2.0
// An answer as samples of stored series.

import Base
import Ingest
import Telemetry
import Wire

/// What an answer is read as.
enum AnswerFormat: Equatable, Sendable {
    case text(ExpositionFormat)
    case protobuf
}

/// What a scrape brought, for the report series.
struct ScrapeCounts: Sendable, Equatable {
    /// Samples in the answer.
    var samples = 0
    /// Those that metric relabelling kept.
    var kept = 0
    /// Series that were not in the scrape before.
    var added = 0
    /// Samples left out because their series stood before in the same answer.
    var duplicates = 0
}

/// How answers are read: the job's part that does not change between scrapes.
struct ReadingRules: Sendable {
    var labels: SampleLabels
    var honorTimestamps: Bool
    var trackTimestampsStaleness: Bool
    var sampleLimit: Int
    var names: NameScheme
    var histograms: HistogramOptions

    init(_ configuration: ScrapeConfiguration, _ target: Target) {
        labels = SampleLabels(configuration, target)
        honorTimestamps = configuration.honorTimestamps
        trackTimestampsStaleness = configuration.trackTimestampsStaleness
        sampleLimit = configuration.sampleLimit
        names = configuration.names
        histograms = target.histograms
    }

    /// Whether the labels of a stored series are names that the job takes.
    func areValid(_ labels: Labels) -> Bool {
        if names == .utf8 { return true }
        return labels.pairs.allSatisfy { name, value in
            isLegacyLabelName(name)
                && (name != "__name__"
                    || isLegacyLabelName(value.replacing(":", with: "_")))
        }
    }
}

/// Which limit an answer broke, for the counters.
enum ReadingFault: Error {
    case sampleLimit
    case labelLimit(String)
    /// A native histogram cannot be made to fit.
    case bucketLimit
    case malformed(String)

    var text: String {
        switch self {
        case .sampleLimit: "sample limit exceeded"
        case .bucketLimit: "histogram bucket limit exceeded"
        case .labelLimit(let reason), .malformed(let reason): reason
        }
    }
}

extension ScrapeMemory {
    /// Reads an answer into a batch.
    ///
    /// - Parameters:
    ///   - millis: time of samples whose line states none.
    ///   - counts: what was read, also when it fails.
    /// - Throws: at the first line that cannot be taken; the batch is of no use then.
    mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ format: AnswerFormat, millis: Int64,
        _ rules: ReadingRules, into batch: inout MetricBatch, counts: inout ScrapeCounts
    ) throws(ReadingFault) {
        guard case .text(let format) = format, !rules.histograms.convertsClassic else {
            return try readWhole(
                bytes, format, millis: millis, rules, into: &batch, counts: &counts)
        }
        reserve(&batch)
        var parser = ExpositionParser(bytes, format)
        var buffer = LabelSetBuffer()
        var accepted = 0
        while true {
            let next: ExpositionParser.Entry?
            do throws(ExpositionError) { next = try parser.next() } catch {
                throw .malformed(error.description)
            }
            guard let entry = next else { break }
            guard entry == .series else {
                note(entry, &parser)
                continue
            }
            counts.samples += 1
            let stated = rules.honorTimestamps ? parser.timestampMillis : nil
            let (index, isRepeated) = try resolve(&parser, &buffer, rules)
            if textStates[index].series == Text.dropped { continue }
            counts.kept += 1
            if isRepeated, stated == nil {
                counts.duplicates += 1
                continue
            }
            accepted += 1
            // Beyond the limit only the counts matter.
            if rules.sampleLimit > 0, accepted > rules.sampleLimit { continue }
            let number = Int(textStates[index].series)
            if series[number].batchOf == scrape, stated == nil {
                // Another text, the same series: as in a store, the first one stays.
                counts.duplicates += 1
                continue
            }
            if !textStates[index].isAdded {
                textStates[index].isAdded = true
                counts.added += 1
            }
            if stated == nil || rules.trackTimestampsStaleness {
                series[number].history |= Self.inCurrent
            }
            let time = stated ?? millis
            let place = place(number, in: &batch)
            batch.addSample(
                series: place, millis: time, value: parser.value, startMillis: parser.startMillis())
            if parser.hasExemplar { addExemplar(&parser, &buffer, place, time, to: &batch) }
        }
        if rules.sampleLimit > 0, accepted > rules.sampleLimit { throw .sampleLimit }
    }

    private func reserve(_ batch: inout MetricBatch) {
        // As much as last time, and room for the report series.
        let expected = textStates.count + 16
        batch.arena.reserveCapacity(labels.arena.count + 2048)
        batch.series.reserveCapacity(expected)
        batch.sampleSeries.reserveCapacity(expected)
        batch.sampleMillis.reserveCapacity(expected)
        batch.sampleValues.reserveCapacity(expected)
    }

    private mutating func note(_ entry: ExpositionParser.Entry, _ parser: inout ExpositionParser) {
        guard entry != .comment else { return }
        let type = parser.type
        parser.withMetadata { family, text in
            switch entry {
            case .help: metadata.set(help: text, of: family)
            case .unit: metadata.set(unit: text, of: family)
            case .type: metadata.set(type: type, of: family)
            case .comment, .series: break
            }
        }
    }

    /// Index of the current line's text, read and relabelled when it is new, and whether this
    /// scrape has brought it before.
    private mutating func resolve(
        _ parser: inout ExpositionParser, _ buffer: inout LabelSetBuffer, _ rules: ReadingRules
    ) throws(ReadingFault) -> (index: Int, isRepeated: Bool) {
        let text = parser.seriesText
        // Values of `le` and `quantile` are written in one way, which depends on the type.
        let hash = hash64(text, seed: UInt64(parser.type.rawValue))
        if let index = texts.find(text, hash: hash) {
            return (index, see(index))
        }
        buffer.reset()
        parser.appendLabels(to: &buffer)
        guard buffer.seal() else {
            buffer.reset()
            parser.appendLabels(to: &buffer)
            throw .malformed(
                "label name \"\(buffer.firstDuplicate() ?? "")\" is not unique: invalid sample")
        }
        var empty: [String] = []
        if rules.labels.honorLabels {
            parser.forEachEmptyLabel { empty.append(String(decoding: $0, as: UTF8.self)) }
        }
        let exposed = Labels(canonical: Array(buffer.bytes))
        textStates.append(try newText(exposed, empty, rules))
        return (texts.add(parser.seriesText, hash: hash), false)
    }

    /// The same for a series whose labels are known, which stand for its text.
    mutating func resolve(
        _ exposed: Labels, _ empty: [String], _ rules: ReadingRules
    ) throws(ReadingFault) -> (index: Int, isRepeated: Bool) {
        // No line of text has this kind of hash.
        let hash = exposed.hash ^ 0x9e37_79b9_7f4a_7c15
        if let index = exposed.bytes.withUnsafeBytes({ texts.find($0, hash: hash) }) {
            return (index, see(index))
        }
        textStates.append(try newText(exposed, empty, rules))
        return (exposed.bytes.withUnsafeBytes { texts.add($0, hash: hash) }, false)
    }

    /// Notes that the current scrape brings a known text, and tells whether it has before.
    private mutating func see(_ index: Int) -> Bool {
        let seenIn = textStates[index].seenIn
        textStates[index].seenIn = scrape
        // One that the last good scrape did not bring is new again, as if it had been forgotten.
        if seenIn < lastGood { textStates[index].isAdded = false }
        return seenIn == scrape
    }

    /// What a series that was not seen before stands for.
    private mutating func newText(
        _ exposed: Labels, _ empty: [String], _ rules: ReadingRules
    ) throws(ReadingFault) -> Text {
        var state = Text(series: Text.dropped, seenIn: scrape)
        guard let stored = rules.labels.stored(exposed, empty: empty) else { return state }
        guard stored["__name__"] != nil else {
            throw .malformed("missing metric name (__name__ label)")
        }
        guard rules.areValid(stored) else {
            throw .malformed("invalid metric name or label names: \(stored)")
        }
        if let violation = rules.labels.violation(stored) { throw .labelLimit(violation) }
        let number = stored.bytes.withUnsafeBytes { self.number($0, hash: stored.hash) }
        state.series = UInt32(truncatingIfNeeded: number)
        return state
    }

    /// Where the batch has a series; added when it is not there yet.
    mutating func place(_ number: Int, in batch: inout MetricBatch) -> UInt32 {
        if series[number].batchOf == scrape { return series[number].batchIndex }
        let place = UInt32(truncatingIfNeeded: batch.series.count)
        let key = labels.keys[number]
        let slice = labels.withKey(number) { batch.arena.keep($0) }
        batch.series.append(LabelsRef(slice: slice, hash: key.hash))
        series[number].batchIndex = place
        series[number].batchOf = scrape
        return place
    }

    /// An exemplar whose labels are no label set is left out: it fails no scrape.
    private func addExemplar(
        _ parser: inout ExpositionParser, _ buffer: inout LabelSetBuffer, _ series: UInt32,
        _ millis: Int64, to batch: inout MetricBatch
    ) {
        buffer.reset()
        parser.appendExemplarLabels(to: &buffer)
        guard buffer.seal() else { return }
        batch.addExemplar(
            series: series, millis: parser.exemplarMillis ?? millis, value: parser.exemplarValue,
            labels: buffer.bytes)
    }
}
