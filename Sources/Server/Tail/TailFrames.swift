// SPDX-License-Identifier: Apache-2.0
// What waits to be sent to one tail.

import Base
import LogQL
import Synchronization
import Telemetry

/// Lines on their way to a reader, in frames; what does not fit is dropped and reported. Bounds are
/// Loki's (`pkg/querier/tail.go`: 100 entries a frame, 10 frames, 1000 reports), and bytes are
/// bounded beside them.
final class TailFrames: Sendable {
    static let entriesPerFrame = 100
    static let waitingFrames = 10
    static let reports = 1000
    /// A frame is closed at about this size, and this is how much may wait.
    static let bytesPerFrame = 256 << 10
    static let waitingBytes = 4 << 20

    struct Report: Sendable {
        var labels: Labels
        var nanos: Int64
    }
    private struct Frame {
        var lines: [TailedLine] = []
        var byteCount = 0
    }
    private struct State {
        var frames: [Frame] = []
        var byteCount = 0
        var reports: [Report] = []
        /// Lines dropped since the start.
        var dropped = 0
        /// Frames taken since the start.
        var taken = 0
    }
    private let state = Mutex(State())
    private let categorize: Bool

    init(categorize: Bool) { self.categorize = categorize }

    /// Adds a line, or reports that it was dropped.
    ///
    /// - Returns: whether it was added.
    @discardableResult
    func add(_ line: TailedLine) -> Bool {
        let size =
            line.entry.line.count + line.labels.bytes.count + line.entry.metadata.bytes.count
            + line.entry.parsed.bytes.count + 64
        return state.withLock { state in
            let last = state.frames.count - 1
            if last >= 0, state.frames[last].lines.count < Self.entriesPerFrame,
                state.frames[last].byteCount + size <= Self.bytesPerFrame
            {
                state.frames[last].lines.append(line)
                state.frames[last].byteCount += size
                state.byteCount += size
                return true
            }
            guard
                state.frames.isEmpty
                    || state.frames.count < Self.waitingFrames
                        && state.byteCount + size <= Self.waitingBytes
            else {
                Self.report(Report(labels: line.labels, nanos: line.entry.nanos), &state)
                return false
            }
            state.frames.append(Frame(lines: [line], byteCount: size))
            state.byteCount += size
            return true
        }
    }

    /// Reports lines that never came this far.
    func report(_ report: Report) { state.withLock { Self.report(report, &$0) } }

    private static func report(_ report: Report, _ state: inout State) {
        state.dropped += 1
        if state.reports.count < reports { state.reports.append(report) }
    }

    var dropped: Int { state.withLock { $0.dropped } }
    var taken: Int { state.withLock { $0.taken } }
    /// Whether some lines more could wait.
    var hasRoom: Bool {
        state.withLock { state in
            state.frames.count < Self.waitingFrames && state.byteCount < Self.waitingBytes / 2
        }
    }
    var isEmpty: Bool { state.withLock { $0.frames.isEmpty && $0.reports.isEmpty } }

    /// The next frame as JSON, with all reports so far; nil when nothing waits.
    func next() -> [UInt8]? {
        let taken = state.withLock { state -> (Frame, [Report])? in
            guard !state.frames.isEmpty || !state.reports.isEmpty else { return nil }
            let frame = state.frames.isEmpty ? Frame() : state.frames.removeFirst()
            state.byteCount -= frame.byteCount
            state.taken += 1
            let reports = state.reports
            state.reports = []
            return (frame, reports)
        }
        return taken.map { encoded($0.lines, $1) }
    }

    /// Source: grafana/loki `pkg/loghttp/tail.go` and `pkg/util/marshal`.
    private func encoded(_ lines: [TailedLine], _ reports: [Report]) -> [UInt8] {
        // Streams in order of appearance, so that the frame keeps the order of its lines as far
        // as the format can.
        var order: [Labels] = []
        var byStream: [Labels: [LogEntry]] = [:]
        for line in lines {
            if byStream[line.labels] == nil { order.append(line.labels) }
            byStream[line.labels, default: []].append(line.entry)
        }
        var json = JSONWriter(reserving: 4096)
        json.beginObject()
        json.key("streams")
        json.beginArray()
        for labels in order {
            writeStream(labels, byStream[labels] ?? [], categorize: categorize, into: &json)
        }
        json.endArray()
        if !reports.isEmpty {
            json.key("dropped_entries")
            json.beginArray()
            for report in reports {
                json.beginObject()
                json.member("timestamp", String(report.nanos))
                json.key("labels")
                writeLabels(report.labels, into: &json)
                json.endObject()
            }
            json.endArray()
        }
        if categorize {
            json.key("encodingFlags")
            json.beginArray()
            json.string("categorize-labels")
            json.endArray()
        }
        json.endObject()
        return json.bytes
    }
}
