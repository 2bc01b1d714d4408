// SPDX-License-Identifier: Apache-2.0
// Fills a log batch row by row; all log decoders end here.

import Base
import Telemetry

/// Log lines of one request, and those that could not be taken.
package struct DecodedLogs: Sendable {
    package var batch = LogBatch()
    /// Streams the request named, taken or not. Loki answers 422 with `noStreams` when 0.
    package var streamCount = 0
    /// Rows left out.
    package var rejectedRows = 0
    /// Why, in Loki's words: the first ten different reasons.
    package var errors: [String] = []

    package init() {}

    /// The batch, handed over: whoever changes it need not copy it.
    package mutating func takeBatch() -> LogBatch {
        var taken = LogBatch()
        swap(&taken, &batch)
        return taken
    }

    /// `errors` in one text: the body of Loki's 400 or the message of OTLP's partial success.
    package var message: String { errors.joined(separator: "\n") }

    package static let noStreams = "error at least one valid stream is required for ingestion"
}

/// Structured metadata common to many rows, in canonical bytes, with the number of its entries and
/// the size of their names and values.
struct SharedMetadata {
    var bytes: [UInt8] = []
    var count = 0
    var size = 0

    /// The union with what goes behind it.
    func merged(before other: SharedMetadata) -> SharedMetadata {
        if count == 0 { return other }
        var result = SharedMetadata()
        result.count = count &+ other.count
        result.size = size &+ other.size
        appendMergedLabels(bytes, other.bytes, to: &result.bytes)
        return result
    }
}

/// Collects labels, metadata and rows, checks limits and keeps what passes.
struct LogAssembly {
    let limits: LogLimits
    var result = DecodedLogs()
    /// Labels of the stream at hand, until `beginStream`.
    var labels = LabelsBuilder()
    private var labelsSet = 0
    /// Reasons that were put into words; after some, more of them only cost time.
    private var reasonsTold = 0
    /// Structured metadata of the row at hand, until `endRow`.
    private var metadata = LabelsBuilder()
    private var metadataCount = 0
    private var metadataBytes = 0
    private var scratch: [UInt8] = []
    private var nameScratch: [UInt8] = []
    /// Metadata that every row has until it is replaced: that of an OTLP resource and scope. A row's
    /// own goes before it where names are the same.
    var shared = SharedMetadata()
    /// The stream rows go to; nil when it was refused.
    private(set) var stream: UInt32?
    private var streamsByHash: [UInt64: UInt32] = [:]

    init(_ limits: LogLimits) { self.limits = limits }

    mutating func reject(_ rows: Int = 1, _ reason: @autoclosure () -> String) {
        result.rejectedRows &+= rows
        guard wantsReason else { return }
        reasonsTold &+= 1
        let text = reason()
        if !result.errors.contains(text) { result.errors.append(text) }
    }

    /// Whether a further reason for leaving something out would be told.
    private var wantsReason: Bool { result.errors.count < 10 && reasonsTold < 100 }

    // MARK: streams

    /// Labels that are looked at before a stream is refused: those with an empty value are dropped
    /// later and do not count then.
    private var maxLabelsSet: Int { 2 * limits.maxLabelNames + 16 }

    /// Sets a label of the stream at hand; of equal names the last counts.
    mutating func setLabel(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        labelsSet &+= 1
        if labelsSet <= maxLabelsSet { labels.set(name, value) }
    }

    /// Makes the collected labels the current stream; of equal names the first counts.
    ///
    /// - Parameter repetition: why a stream with two equal names is refused; nil = it is not.
    mutating func beginStream(ifRepeated repetition: ((Labels) -> String)? = nil) {
        defer { labelsSet = 0 }
        if labelsSet > maxLabelsSet {
            let reason =
                "entry for stream has \(labelsSet) label names; limit \(limits.maxLabelNames)"
            refuseStream(reason)
            return
        }
        scratch.removeAll(keepingCapacity: true)
        let isUnique = labels.encode(into: &scratch)
        if !isUnique, let repetition {
            let refused = Labels(canonical: scratch)
            refuseStream(repetition(refused))
            return
        }
        result.streamCount &+= 1
        labels.reset()
        stream = nil
        if let problem = labelProblem(scratch) {
            reject(0, problem)
            return
        }
        let hash = hash64(scratch)
        if let known = streamsByHash[hash],
            result.batch.arena[result.batch.streams[Int(known)].slice.range]
                .withUnsafeBytes({ a in scratch.withUnsafeBytes { equalBytes(a, $0) } })
        {
            stream = known
            return
        }
        let index = result.batch.addStream(Labels(canonical: scratch, hash: hash))
        streamsByHash[hash] = index
        stream = index
    }

    /// A stream whose labels could not be read: its rows are counted and left out.
    mutating func refuseStream(_ reason: @autoclosure () -> String) {
        result.streamCount &+= 1
        labels.reset()
        labelsSet = 0
        stream = nil
        reject(0, reason())
    }

    private func labelProblem(_ labels: [UInt8]) -> String? {
        if labels.isEmpty { return "error at least one label pair is required per stream" }
        var count = 0
        var tooLong: (isName: Bool, text: String)?
        labels.withUnsafeBytes { all in
            forEachLabel(in: all) { name, value in
                if !equalBytes(name, ServiceName.label.bytes) { count += 1 }
                if name.count > limits.maxLabelNameBytes, tooLong == nil {
                    tooLong = (true, String(decoding: name, as: UTF8.self))
                } else if value.count > limits.maxLabelValueBytes, tooLong == nil {
                    tooLong = (false, String(decoding: value, as: UTF8.self))
                }
            }
        }
        if count > limits.maxLabelNames {
            return "entry for stream '\(Labels(canonical: labels))' has \(count) label names; "
                + "limit \(limits.maxLabelNames)"
        }
        guard let tooLong else { return nil }
        return "stream '\(Labels(canonical: labels))' has label "
            + (tooLong.isName ? "name" : "value") + " too long: '\(tooLong.text)'"
    }

    /// Label text of the current stream, for messages.
    private var streamText: String {
        guard let stream else { return "{}" }
        return result.batch.arena.labels(result.batch.streams[Int(stream)]).description
    }

    // MARK: rows

    /// Adds structured metadata to the row at hand. The name is made a Prometheus label name; an
    /// empty value is dropped.
    mutating func addMetadata(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        if name.isEmpty || value.isEmpty { return }
        if isCompliantLabelName(name) {
            appendMetadata(name, value)
        } else {
            // Taken out of `self`, which is changed while the name is borrowed.
            var clean: [UInt8] = []
            swap(&clean, &nameScratch)
            defer { swap(&clean, &nameScratch) }
            clean.removeAll(keepingCapacity: true)
            guard appendCompliantLabelName(name, to: &clean) else { return }
            clean.withUnsafeBytes { appendMetadata($0, value) }
        }
    }

    /// The metadata collected so far as canonical bytes, taken away from the row at hand.
    mutating func takeMetadata() -> SharedMetadata {
        var taken = SharedMetadata()
        taken.count = metadataCount
        taken.size = metadataBytes
        // Too much is not worth sorting: the rows are refused.
        if metadataCount <= limits.maxMetadataCount, metadataBytes <= limits.maxMetadataBytes {
            metadata.encode(into: &taken.bytes)
        }
        dropRow()
        return taken
    }

    private mutating func appendMetadata(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) {
        metadataCount &+= 1
        metadataBytes &+= name.count &+ value.count
        // What is refused anyway need not be kept.
        if metadataBytes <= limits.maxMetadataBytes { metadata.append(name, value) }
    }

    /// Forgets a row that is not going to be.
    mutating func dropRow() {
        if metadataCount == 0 { return }
        metadata.reset()
        metadataCount = 0
        metadataBytes = 0
    }

    /// Adds a row whose line is the last thing in the arena, with the metadata collected for it.
    mutating func endRow(
        nanos: Int64, line: ByteSlice, traceID: TraceID = .zero, spanID: SpanID = .zero
    ) {
        guard let slice = takeRowMetadata(line), let stream else { return }
        result.batch.addRow(
            stream: stream, nanos: nanos, line: line, metadata: slice, traceID: traceID,
            spanID: spanID)
    }

    /// The same for one of many rows of the stream at hand, before `endRows`.
    mutating func endOneOfRows(nanos: Int64, line: ByteSlice) {
        guard let slice = takeRowMetadata(line) else { return }
        result.batch.addIncompleteRow(nanos: nanos, line: line, metadata: slice)
    }

    mutating func endRows() {
        if let stream { result.batch.completeRows(stream: stream) }
    }

    /// The metadata collected for a row, in the arena; nil when the row is left out, its line then
    /// being no longer there.
    private mutating func takeRowMetadata(_ line: ByteSlice) -> ByteSlice? {
        defer { dropRow() }
        guard stream != nil else {
            result.batch.arena.removeSubrange(line.range.lowerBound...)
            // The reason was given when the stream was refused.
            result.rejectedRows &+= 1
            return nil
        }
        guard rowFits(line) else {
            let reason = wantsReason ? rowProblem(line) : ""
            result.batch.arena.removeSubrange(line.range.lowerBound...)
            reject(1, reason)
            return nil
        }
        var slice = ByteSlice.empty
        if metadataCount > 0 || shared.count > 0 {
            let start = result.batch.arena.count
            if shared.count == 0 {
                metadata.encode(into: &result.batch.arena)
            } else {
                scratch.removeAll(keepingCapacity: true)
                metadata.encode(into: &scratch)
                appendMergedLabels(scratch, shared.bytes, to: &result.batch.arena)
            }
            slice = ByteSlice(offset: start, count: result.batch.arena.count - start)
        }
        return slice
    }

    private func rowFits(_ line: ByteSlice) -> Bool {
        Int(line.count) <= limits.maxLineBytes
            && metadataBytes &+ shared.size <= limits.maxMetadataBytes
            && metadataCount &+ shared.count <= limits.maxMetadataCount
    }

    /// Why a row does not fit.
    private func rowProblem(_ line: ByteSlice) -> String {
        if Int(line.count) > limits.maxLineBytes {
            return "max entry size '\(limits.maxLineBytes)' bytes exceeded for stream "
                + "'\(streamText)' while adding an entry with length '\(line.count)' bytes"
        }
        let bytes = metadataBytes &+ shared.size
        if bytes > limits.maxMetadataBytes {
            return "stream '\(streamText)' has structured metadata too large: '\(bytes)' bytes, "
                + "limit: '\(limits.maxMetadataBytes)' bytes"
        }
        return "stream '\(streamText)' has too many structured metadata labels: "
            + "'\(metadataCount &+ shared.count)', limit: '\(limits.maxMetadataCount)'"
    }
}

/// Appends the union of two canonical label sets; of equal names that of `first` counts.
func appendMergedLabels(_ first: [UInt8], _ second: [UInt8], to out: inout [UInt8]) {
    first.withUnsafeBytes { a in
        second.withUnsafeBytes { b in appendMergedLabels(a, b, to: &out) }
    }
}

/// See `appendMergedLabels(_:_:to:)`.
func appendMergedLabels(
    _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, to out: inout [UInt8]
) {
    var taken = 0
    forEachLabel(in: first) { name, value in
        guard let base = first.baseAddress, let nameBase = name.baseAddress,
            let valueEnd = value.baseAddress.map({ $0 + value.count })
        else { return }
        taken = appendLabels(of: second, from: taken, before: name, to: &out)
        // A label's bytes start one length before its name; that length has one to five bytes.
        let nameOffset = nameBase - base
        let start = nameOffset - varintLength(name.count)
        out.append(contentsOf: first[start..<(valueEnd - base)])
    }
    out.append(contentsOf: second[taken...])
}

/// Appends labels from `offset` on whose names come before `limit`, steps over one of that name and
/// gives the offset of what is left.
private func appendLabels(
    of labels: UnsafeRawBufferPointer, from offset: Int, before limit: UnsafeRawBufferPointer,
    to out: inout [UInt8]
) -> Int {
    var reader = ByteReader(labels)
    reader.offset = offset
    while !reader.isAtEnd {
        let start = reader.offset
        guard let name = try? reader.lengthPrefixed(), (try? reader.lengthPrefixed()) != nil else {
            return labels.count
        }
        let order = compareBytes(name, limit)
        if order == 0 { return reader.offset }
        if order > 0 { return start }
        out.append(contentsOf: labels[start..<reader.offset])
    }
    return labels.count
}

private func varintLength(_ value: Int) -> Int {
    var rest = value, n = 1
    while rest >= 0x80 {
        rest &>>= 7
        n &+= 1
    }
    return n
}
