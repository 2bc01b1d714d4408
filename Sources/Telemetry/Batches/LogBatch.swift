// SPDX-License-Identifier: Apache-2.0
// Log lines of many streams in columns.

/// Rows of log lines: what a push brings, what a store keeps, what a reader returns.
@usableFromInline package struct LogBatch: Sendable {
    /// Stream labels, lines, structured metadata.
    package var arena: [UInt8] = []
    /// Stream label sets.
    package var streams: [LabelsRef] = []

    // One entry per row in each column.
    /// Index into `streams`.
    @usableFromInline package var rowStreams: [UInt32] = []
    @usableFromInline package var nanos: [Int64] = []
    /// The line's bytes, as sent: not necessarily UTF-8.
    @usableFromInline package var lines: [ByteSlice] = []
    /// Structured metadata as canonical label bytes.
    @usableFromInline package var metadata: [ByteSlice] = []
    /// Trace and span ids sent with the row or lifted out of it; zero = none.
    @usableFromInline package var traceIDs: [TraceID] = []
    @usableFromInline package var spanIDs: [SpanID] = []

    package init() {}

    package var rowCount: Int { nanos.count }

    /// Adds a stream from canonical labels and returns its index.
    package mutating func addStream(_ labels: Labels) -> UInt32 {
        let slice = labels.bytes.withUnsafeBytes { arena.keep($0) }
        streams.append(LabelsRef(slice: slice, hash: labels.hash))
        return UInt32(streams.count - 1)
    }

    /// Adds a row without its stream and ids, which `completeRows` gives it: for many rows of one
    /// stream.
    @inlinable package mutating func addIncompleteRow(
        nanos: Int64, line: ByteSlice, metadata: ByteSlice
    ) {
        self.nanos.append(nanos)
        lines.append(line)
        self.metadata.append(metadata)
    }

    /// Gives all incomplete rows a stream, and no ids.
    package mutating func completeRows(stream: UInt32) {
        let missing = rowCount - rowStreams.count
        rowStreams.append(contentsOf: repeatElement(stream, count: missing))
        traceIDs.append(contentsOf: repeatElement(.zero, count: missing))
        spanIDs.append(contentsOf: repeatElement(.zero, count: missing))
    }

    /// Adds a row whose line and metadata already lie in the arena.
    @inlinable package mutating func addRow(
        stream: UInt32, nanos: Int64, line: ByteSlice, metadata: ByteSlice = .empty,
        traceID: TraceID = .zero, spanID: SpanID = .zero
    ) {
        rowStreams.append(stream)
        self.nanos.append(nanos)
        lines.append(line)
        self.metadata.append(metadata)
        traceIDs.append(traceID)
        spanIDs.append(spanID)
    }

    /// Removes rows that do not belong to a trace; what they had stays in the arena.
    package mutating func keepRows(ofTrace id: TraceID) {
        var kept = 0
        for row in nanos.indices where traceIDs[row] == id {
            if kept < row {
                rowStreams[kept] = rowStreams[row]
                nanos[kept] = nanos[row]
                lines[kept] = lines[row]
                metadata[kept] = metadata[row]
                traceIDs[kept] = traceIDs[row]
                spanIDs[kept] = spanIDs[row]
            }
            kept += 1
        }
        let others = rowCount - kept
        if others == 0 { return }
        rowStreams.removeLast(others)
        nanos.removeLast(others)
        lines.removeLast(others)
        metadata.removeLast(others)
        traceIDs.removeLast(others)
        spanIDs.removeLast(others)
    }
}
