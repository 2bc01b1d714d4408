// SPDX-License-Identifier: Apache-2.0
// From series messages to the batch: what both remote write versions share.

import Base
import Telemetry

/// Appends the points of the series being decoded to the columns before its labels are known, and
/// takes them back when the labels turn out to be bad.
struct SeriesCollector: ~Copyable {
    var request = RemoteWriteRequest()
    var labels: LabelCheck
    var exemplarLabels: LabelCheck
    var histogramDecoder = RemoteWriteHistogramDecoder()
    private let maxPoints: Int
    private let maxArenaBytes: Int

    private struct Mark {
        var samples = 0
        var histograms = 0
        var exemplars = 0
        var arena = 0
    }
    private var mark = Mark()
    /// What is wrong with the series beside its labels.
    private var seriesProblem: SeriesProblem?

    init(limits: MetricDecodingLimits, bodyBytes: Int) {
        maxPoints = limits.points > 0 ? limits.points : .max
        // Slices hold 32-bit offsets, and one label set may still follow the check.
        maxArenaBytes = min(limits.arenaBytes > 0 ? limits.arenaBytes : .max, 2 << 30)
        labels = LabelCheck(limits: limits)
        exemplarLabels = LabelCheck(limits: limits)
        // A sample with its series' labels takes some 100 bytes or more on the wire.
        let expected = bodyBytes / 128
        request.batch.arena.reserveCapacity(bodyBytes)
        request.batch.series.reserveCapacity(expected)
        request.batch.sampleSeries.reserveCapacity(expected)
        request.batch.sampleMillis.reserveCapacity(expected)
        request.batch.sampleValues.reserveCapacity(expected)
    }

    /// Index that the current series will have.
    private var index: UInt32 { UInt32(truncatingIfNeeded: request.batch.series.count) }

    mutating func beginSeries() {
        labels.reset()
        seriesProblem = nil
        mark = Mark(
            samples: request.batch.sampleSeries.count,
            histograms: request.batch.histogramSeries.count,
            exemplars: request.batch.exemplarSeries.count, arena: request.batch.arena.count)
    }

    @inline(__always)
    private func checkRoom(_ reader: ProtobufReader) throws(MalformedBytes) {
        let points =
            request.batch.sampleSeries.count &+ request.batch.histogramSeries.count
            &+ request.batch.exemplarSeries.count
        if points >= maxPoints {
            throw reader.malformed(
                "at most \(maxPoints) samples in a request; send smaller requests")
        }
        if request.batch.arena.count >= maxArenaBytes {
            throw reader.malformed(
                "labels of at most \(maxArenaBytes) bytes in a request; send smaller requests")
        }
    }

    /// `Sample` of both versions.
    mutating func sample(_ message: ProtobufReader) throws(MalformedBytes) {
        var message = message
        try checkRoom(message)
        var value = 0.0
        var millis: Int64 = 0, start: Int64 = 0
        // Value and time in this order are what all senders write.
        if message.remaining > 10, message.rest[0] == 0x09, message.rest[9] == 0x10 {
            message.offset &+= 1
            value = Double(bitPattern: try message.rawFixed64())
            message.offset &+= 1
            millis = Int64(bitPattern: try message.rawVarint())
        }
        while try message.next() {
            switch message.field {
            case 1: value = try message.double()
            case 2: millis = try message.int64()
            case 3: start = try message.int64()
            default: try message.skip()
            }
        }
        request.batch.addSample(series: index, millis: millis, value: value, startMillis: start)
    }

    mutating func histogram(_ message: ProtobufReader) throws(MalformedBytes) {
        try checkRoom(message)
        try histogramDecoder.decode(message)
        do throws(InvalidHistogram) {
            try histogramDecoder.histogram.validate()
        } catch {
            request.hasInvalidHistogram = true
            request.rejectedHistograms += 1
            let text = error.description
            let millis = histogramDecoder.millis
            request.report(SeriesProblem(.invalidHistogram, "\(text), timestamp \(millis)"))
            return
        }
        request.batch.addHistogram(
            series: index, millis: histogramDecoder.millis,
            histogramDecoder.histogram, startMillis: histogramDecoder.startMillis)
    }

    /// Keeps an exemplar whose labels are in `exemplarLabels`.
    mutating func exemplar(
        value: Double, millis: Int64, _ reader: ProtobufReader
    ) throws(MalformedBytes) {
        try checkRoom(reader)
        if let problem = exemplarLabels.seal(requireName: false) {
            request.rejectedExemplars += 1
            request.report(SeriesProblem(problem.kind, "exemplar: \(problem.message)"))
            return
        }
        request.batch.addExemplar(
            series: index, millis: millis, value: value, labels: exemplarLabels.buffer.bytes)
    }

    /// Counts an exemplar that cannot be kept.
    mutating func refuseExemplar(_ problem: SeriesProblem) {
        request.rejectedExemplars += 1
        request.report(problem)
    }

    /// Makes the current series fail for a reason of its version.
    mutating func fail(_ problem: SeriesProblem) {
        if seriesProblem == nil { seriesProblem = problem }
    }

    var hasSamplesAndHistograms: Bool {
        request.batch.sampleSeries.count > mark.samples
            && request.batch.histogramSeries.count > mark.histograms
    }

    /// Ends the series: keeps it, or takes its points back. Returns where its labels lie.
    mutating func endSeries(_ reader: ProtobufReader) throws(MalformedBytes) -> ByteSlice? {
        if let problem = seriesProblem ?? labels.seal() {
            takeBack()
            request.rejectedSeries += 1
            request.report(problem)
            return nil
        }
        try checkRoom(reader)
        let ref = labels.buffer.keep(in: &request.batch.arena)
        request.batch.series.append(ref)
        return ref.slice
    }

    private mutating func takeBack() {
        let samples = request.batch.sampleSeries.count - mark.samples
        request.rejectedSamples += samples
        request.batch.sampleSeries.removeLast(samples)
        request.batch.sampleMillis.removeLast(samples)
        request.batch.sampleValues.removeLast(samples)
        if !request.batch.sampleStartMillis.isEmpty {
            request.batch.sampleStartMillis.removeLast(samples)
        }
        let histograms = request.batch.histogramSeries.count - mark.histograms
        request.rejectedHistograms += histograms
        request.batch.histogramSeries.removeLast(histograms)
        request.batch.histogramMillis.removeLast(histograms)
        request.batch.histograms.removeLast(histograms)
        if !request.batch.histogramStartMillis.isEmpty {
            request.batch.histogramStartMillis.removeLast(histograms)
        }
        let exemplars = request.batch.exemplarSeries.count - mark.exemplars
        request.rejectedExemplars += exemplars
        request.batch.exemplarSeries.removeLast(exemplars)
        request.batch.exemplarMillis.removeLast(exemplars)
        request.batch.exemplarValues.removeLast(exemplars)
        request.batch.exemplarLabels.removeLast(exemplars)
        request.batch.arena.removeSubrange(mark.arena...)
    }

    consuming func finish() -> RemoteWriteRequest { request }
}
