// SPDX-License-Identifier: Apache-2.0
// The queries under way, in a file that survives a crash.

import Base
import Synchronization
import Telemetry

/// `queries.active` in the data directory: a slot of fixed size per query that may run at once,
/// written when a query begins and blanked when it ends. What stands there when a server starts ran
/// when the last one died, and may be why.
///
/// Nothing is synced: a page that a killed process has written is kept by the kernel, and nobody
/// asks after a power cut. Entry and removal are one write of one slot each into the page cache. An
/// error never fails a query: it is counted, the first one is reported, and the file is given up.
///
/// The file is text: per slot a JSON object and blanks up to a newline, which makes it JSON lines
/// with empty lines between. Source of the idea and of `query` and `timestamp_sec`:
/// prometheus/prometheus `promql/query_logger.go`.
package final class ActiveQueryLog: Sendable {
    /// Bytes of a slot, its newline included.
    package static let slotBytes = 1024
    /// Most bytes of a query's text that are kept; fewer where escaping makes them longer.
    private static let textBytes = 800
    /// Most slots that are read from what an earlier process left.
    private static let mostSlots = 4096

    /// A query under way.
    package struct Entry: Sendable {
        package var query: QueryDescription
        package var startNanos: Int64
        /// What it has read and holds by now; nil for entries that were made without.
        package var context: ReadContext?
    }

    private struct State {
        var file: (any WritableFile)?
        var entries: [Entry?]
        var failures = 0
    }

    /// What the process before left unfinished: one JSON object each, in the order of the file.
    package let unfinished: [String]
    private let state: Mutex<State>
    private let clock: any Clock
    private let report: @Sendable (String) -> Void

    /// Reads what is left in the file and begins it afresh.
    ///
    /// - Parameters:
    ///   - slots: queries that may run at once; more are not recorded.
    ///   - report: told of the first error.
    package init(
        _ path: String, slots: Int, files: any FileSystem = LocalFileSystem(), clock: any Clock,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        let count = max(1, min(slots, Self.mostSlots))
        var state = State(file: nil, entries: [Entry?](repeating: nil, count: count))
        var unfinished: [String] = []
        do throws(FileError) {
            if let size = try files.size(path) {
                let bytes = try files.read(
                    path, offset: 0, count: min(size, Self.mostSlots * Self.slotBytes))
                unfinished = Self.entries(bytes)
            }
            let file = try files.create(path)
            // All slots now, so that a disk that fills up later is no matter.
            try file.write([[UInt8]](repeating: Self.blank, count: count), at: 0)
            state.file = file
        } catch {
            state.failures = 1
            report("queries under way are not recorded: \(error)")
        }
        self.unfinished = unfinished
        self.state = Mutex(state)
        self.clock = clock
        self.report = report
    }

    private static let blank: [UInt8] =
        [UInt8](repeating: UInt8(ascii: " "), count: slotBytes - 1) + [UInt8(ascii: "\n")]

    /// The whole objects among the lines; anything else is what a power cut left.
    private static func entries(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let isObject = line.withUnsafeBytes { raw in
                var reader = JSONReader(raw)
                do throws(MalformedJSON) {
                    guard try reader.peek() == .object else { return false }
                    try reader.skipValue()
                    try reader.end()
                    return true
                } catch { return false }
            }
            guard isObject else { return nil }
            return trimmed(String(decoding: line, as: UTF8.self))
        }
    }

    /// Errors so far.
    package var failures: Int { state.withLock { $0.failures } }

    /// The queries under way, the oldest first.
    package var current: [Entry] {
        state.withLock { $0.entries.compactMap { $0 } }.sorted { $0.startNanos < $1.startNanos }
    }

    /// Records a query that begins now.
    ///
    /// - Returns: what `leave` takes; nil when all slots are taken.
    package func enter(_ query: QueryDescription, _ context: ReadContext? = nil) -> Int? {
        let entry = Entry(query: query, startNanos: clock.wallNanos, context: context)
        let (slot, file) = state.withLock { state -> (Int?, (any WritableFile)?) in
            guard let free = state.entries.firstIndex(where: { $0 == nil }) else {
                return (nil, nil)
            }
            state.entries[free] = entry
            return (free, state.file)
        }
        if let slot, let file { write(Self.encoded(entry), slot, file) }
        return slot
    }

    /// The query has ended, in whatever way.
    package func leave(_ slot: Int?) {
        guard let slot else { return }
        // First the file: as soon as the slot is free, the next query may write there.
        if let file = state.withLock({ $0.file }) { write(Self.blank, slot, file) }
        state.withLock { $0.entries[slot] = nil }
    }

    private func write(_ bytes: [UInt8], _ slot: Int, _ file: any WritableFile) {
        do throws(FileError) {
            try file.write([bytes], at: slot * Self.slotBytes)
        } catch {
            let isFirst = state.withLock { state in
                state.failures += 1
                state.file = nil
                return state.failures == 1
            }
            if isFirst { report("queries under way are no longer recorded: \(error)") }
        }
    }

    private static func encoded(_ entry: Entry) -> [UInt8] {
        var keep = textBytes
        while true {
            var json = JSONWriter(reserving: slotBytes)
            json.beginObject()
            json.member("family", entry.query.family.rawValue)
            json.member("tenant", entry.query.tenant.name)
            json.member("query", shortened(entry.query.text, keep))
            json.member("timestamp_sec", Int(entry.startNanos / 1_000_000_000))
            json.endObject()
            if json.bytes.count < slotBytes {
                let rest = slotBytes - 1 - json.bytes.count
                return json.bytes + [UInt8](repeating: UInt8(ascii: " "), count: rest)
                    + [UInt8(ascii: "\n")]
            }
            // A tenant's name is bounded, so this ends.
            guard keep > 0 else { return blank }
            keep /= 2
        }
    }

    /// At most `limit` bytes of a text, cut between characters and marked where it was cut.
    static func shortened(_ text: String, _ limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: limit)
        while end > text.utf8.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text[..<end]) + "…"
    }
}
