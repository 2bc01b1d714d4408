// SPDX-License-Identifier: Apache-2.0
// A decoded exposition as samples of stored series.

import Base
import Telemetry
import Wire

extension ScrapeMemory {
    /// Reads a protobuf exposition, or a text whose classic histograms are to be converted, into a
    /// batch. See `read` for the rules.
    mutating func readWhole(
        _ bytes: UnsafeRawBufferPointer, _ format: AnswerFormat, millis: Int64,
        _ rules: ReadingRules, into batch: inout MetricBatch, counts: inout ScrapeCounts
    ) throws(ReadingFault) {
        let exposition: ExpositionBatch
        do throws(ExpositionError) {
            switch format {
            case .protobuf:
                var options = MetricFamilies.Options()
                options.keepsClassicHistograms = rules.histograms.keepsClassic
                options.ignoresNativeHistograms = !rules.histograms.isNative
                options.convertsClassicHistograms = rules.histograms.convertsClassic
                exposition = try MetricFamilies.decode(
                    bytes, scrapeMillis: millis, options: options)
            case .text(let format):
                var options = Exposition.Options()
                options.keepsCreatedSeries = true
                let decoded = try Exposition.decode(
                    bytes, format, scrapeMillis: millis, options: options)
                exposition =
                    ClassicConversion(decoded, keepsClassic: rules.histograms.keepsClassic)
                    .converted()
            }
        } catch { throw .malformed(error.description) }
        noteMetadata(exposition.batch)
        var reading = ExpositionReading(exposition)
        try readSamples(&reading, millis: millis, rules, into: &batch, &counts)
        try readHistograms(&reading, millis: millis, rules, into: &batch, &counts)
        if rules.sampleLimit > 0, reading.accepted > rules.sampleLimit { throw .sampleLimit }
        addExemplars(reading, to: &batch)
    }

    private mutating func noteMetadata(_ source: MetricBatch) {
        source.arena.withUnsafeBytes { arena in
            func text(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(
                    rebasing: arena[Int(slice.offset)..<Int(slice.offset) + Int(slice.count)])
            }
            for entry in source.metadata {
                metadata.set(type: entry.type, of: text(entry.family))
                if entry.help.count > 0 {
                    metadata.set(help: text(entry.help), of: text(entry.family))
                }
                if entry.unit.count > 0 {
                    metadata.set(unit: text(entry.unit), of: text(entry.family))
                }
            }
        }
    }

    private mutating func readSamples(
        _ reading: inout ExpositionReading, millis: Int64, _ rules: ReadingRules,
        into batch: inout MetricBatch, _ counts: inout ScrapeCounts
    ) throws(ReadingFault) {
        let source = reading.source.batch
        for sample in source.sampleSeries.indices {
            let isStated = rules.honorTimestamps && reading.source.isExplicit[sample]
            let series = Int(source.sampleSeries[sample])
            guard
                let number = try accept(
                    series, isStated: isStated, &reading, rules, &counts)
            else { continue }
            let place = place(number, in: &batch)
            reading.places[series] = place
            batch.addSample(
                series: place, millis: isStated ? source.sampleMillis[sample] : millis,
                value: source.sampleValues[sample],
                startMillis: source.sampleStartMillis.isEmpty
                    ? 0 : source.sampleStartMillis[sample])
        }
    }

    private mutating func readHistograms(
        _ reading: inout ExpositionReading, millis: Int64, _ rules: ReadingRules,
        into batch: inout MetricBatch, _ counts: inout ScrapeCounts
    ) throws(ReadingFault) {
        let source = reading.source.batch
        for index in source.histogramSeries.indices {
            let isStated = rules.honorTimestamps && reading.source.isHistogramExplicit[index]
            let series = Int(source.histogramSeries[index])
            guard
                let number = try accept(
                    series, isStated: isStated, &reading, rules, &counts)
            else { continue }
            let slice: ByteSlice
            if rules.histograms.limitsResolution {
                slice = batch.arena.keep(try limited(source, index, rules))
            } else {
                slice = source.arena.withSlice(source.histograms[index]) { batch.arena.keep($0) }
            }
            let place = place(number, in: &batch)
            reading.places[series] = place
            batch.addHistogram(
                series: place, millis: isStated ? source.histogramMillis[index] : millis,
                slice: slice,
                startMillis: source.histogramStartMillis.isEmpty
                    ? 0 : source.histogramStartMillis[index])
        }
    }

    private func limited(
        _ source: MetricBatch, _ index: Int, _ rules: ReadingRules
    ) throws(ReadingFault) -> NativeHistogram {
        var histogram: NativeHistogram
        do {
            histogram = try source.arena.withSlice(source.histograms[index]) {
                try NativeHistogram(decoding: $0)
            }
        } catch { throw .malformed("\(error)") }
        guard rules.histograms.apply(to: &histogram) else { throw .bucketLimit }
        return histogram
    }

    /// Number of the stored series that a sample goes to; nil when it goes nowhere.
    private mutating func accept(
        _ series: Int, isStated: Bool, _ reading: inout ExpositionReading, _ rules: ReadingRules,
        _ counts: inout ScrapeCounts
    ) throws(ReadingFault) -> Int? {
        counts.samples += 1
        let reference = reading.source.batch.series[series]
        let exposed = reading.source.batch.arena.labels(reference)
        let (index, isRepeated) = try resolve(exposed, reading.empty(of: series), rules)
        if textStates[index].series == Text.dropped { return nil }
        counts.kept += 1
        if isRepeated, !isStated {
            counts.duplicates += 1
            return nil
        }
        reading.accepted += 1
        if rules.sampleLimit > 0, reading.accepted > rules.sampleLimit { return nil }
        let number = Int(textStates[index].series)
        if self.series[number].batchOf == scrape, !isStated {
            counts.duplicates += 1
            return nil
        }
        if !textStates[index].isAdded {
            textStates[index].isAdded = true
            counts.added += 1
        }
        if !isStated || rules.trackTimestampsStaleness {
            self.series[number].history |= Self.inCurrent
        }
        return number
    }

    private func addExemplars(_ reading: ExpositionReading, to batch: inout MetricBatch) {
        let source = reading.source.batch
        for index in source.exemplarSeries.indices {
            guard let place = reading.places[Int(source.exemplarSeries[index])] else { continue }
            source.arena.withSlice(source.exemplarLabels[index]) { labels in
                batch.addExemplar(
                    series: place, millis: source.exemplarMillis[index],
                    value: source.exemplarValues[index], labels: labels)
            }
        }
    }
}

/// An exposition being read.
private struct ExpositionReading {
    let source: ExpositionBatch
    /// Where the batch has a series of the exposition.
    var places: [UInt32?]
    var accepted = 0
    /// First entry of `emptyLabels` by series.
    private var empty: [Int: [String]] = [:]

    init(_ source: ExpositionBatch) {
        self.source = source
        places = [UInt32?](repeating: nil, count: source.batch.series.count)
        for entry in source.emptyLabels { empty[Int(entry.series), default: []].append(entry.name) }
    }

    func empty(of series: Int) -> [String] { empty[series] ?? [] }
}
