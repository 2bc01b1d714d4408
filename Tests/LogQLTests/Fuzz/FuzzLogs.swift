// SPDX-License-Identifier: Apache-2.0
// Random lines, in a store with heads, small blocks and merged parts.

import Base
import LogStore
import Storage
import Telemetry
import TestKit

/// Makes lines of the shapes that parsers look for, whole and broken.
struct FuzzLines {
    var chance: Chance
    /// Whether some JSON breaks off.
    private let breaksJSON: Bool
    private var nanos: Int64 = 1_700_000_000_000_000_000

    init(_ chance: Chance, breaksJSON: Bool) {
        self.chance = chance
        self.breaksJSON = breaksJSON
    }

    private mutating func pick<T>(_ values: [T]) -> T { values[chance.below(values.count)] }

    mutating func row() -> NaiveRow {
        nanos += Int64(chance.below(3)) * 250_000_000
        var stream = ["app": pick(["a", "b", "c"]), "zone": pick(["n", "s"])]
        if stream["app"] == "b" { stream["level"] = "info" }
        var metadata: [String: String] = [:]
        if chance.happens(1, in: 3) { metadata["trace_id"] = traceID() }
        if chance.happens(1, in: 6) { metadata["path"] = "/meta" }
        if chance.happens(1, in: 8) { metadata["level"] = "warn" }
        if chance.happens(1, in: 2) {
            // Now and then something that is no number.
            metadata["status"] =
                breaksJSON && chance.happens(1, in: 30)
                ? pick(["abc", "1e1", "-0"]) : pick(["3", "7", "12", "7.5", "-3", "15.25", "404"])
        }
        if chance.happens(1, in: 4) { metadata["n"] = "\(chance.below(20))" }
        let late = chance.happens(1, in: 10) ? Int64(chance.below(100)) * 1_000_000_000 : 0
        return NaiveRow(
            stream: stream, metadata: metadata, nanos: nanos - late, line: line())
    }

    private mutating func traceID() -> String {
        pick([
            "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736",
            "00000000000000010000000000000002",
        ])
    }

    private mutating func line() -> [UInt8] {
        switch chance.below(13) {
        case 0: return []
        // Nothing that could be taken for JSON, nor for a control sequence that is no colour.
        case 1:
            let bytes = (0..<chance.below(40)).map { _ in UInt8(chance.below(256)) }
            return [1] + bytes.filter { $0 != 0x1b }
        case 12:
            let entry = logfmt().replacing("\\", with: "").replacing("\"", with: "'")
            return Array(#"{"_entry":"\#(entry)","pod":"p\#(chance.below(3))","n":5}"#.utf8)
        case 2, 3, 4: return Array(json().utf8)
        case 5: return Array("10.0.0.\(chance.below(20)) - \(pick(["ann", "bob"])) GET /a 200".utf8)
        case 6: return Array("\u{1b}[31mlevel=error\u{1b}[0m n=\(chance.below(20))".utf8)
        default: return Array(logfmt().utf8)
        }
    }

    private mutating func logfmt() -> String {
        var text = "level=\(pick(["info", "warn", "error"])) path=/\(pick(["a", "b"])) "
        text += "took=\(chance.below(60))ms n=\(chance.below(20))"
        switch chance.below(8) {
        case 0: text += #" msg="a \"quoted\" ö""#
        case 1: text += " empty= flag"
        case 2: text += #" broken"word" after=1"#
        case 3: text += " n=7"
        case 4: text += #" open="never"#
        case 5: text += " id=" + traceID()
        case 6: text += " a=b=c 1st=2 b.c=d"
        default: break
        }
        return text
    }

    private mutating func json() -> String {
        var text = #"{"level":"\#(pick(["info", "error"]))","n":\#(chance.below(20)),"took":"#
        text += #""\#(chance.below(60))ms","o":{"a":"x","b":1.50},"#
        text += pick([
            #""arr":[1,"a",{"b":[]}],"#, #""nul":null,"t":true,"#, #""n":99,"#,
            #""msg":"a\"b\u00e9\n","#, #""b-c":{"1x":"y"},"#, "",
        ])
        text += #""path":"/a"}"#
        if breaksJSON, chance.happens(1, in: 4) {
            let whole = Array(text.unicodeScalars)
            text = String(String.UnicodeScalarView(whole[..<chance.below(whole.count)]))
        }
        return text
    }
}

/// The lines in a store: some sealed into parts of tiny blocks, some of those merged, some in heads.
final class FuzzLogs {
    let store: LogStore
    let rows: [NaiveRow]
    let hasWholeJSON: Bool
    private var handles: [PartHandle] = []
    private var nextID: UInt64 = 1

    init(_ seed: UInt64, rowCount: Int) throws {
        var chance = Chance(seed: seed, 1)
        var configuration = LogStoreConfiguration()
        configuration.blockRows = 4 + chance.below(60)
        configuration.blockBytes = 200 + chance.below(8000)
        configuration.carriedBlockBytes = chance.below(2) * 300
        configuration.bytesPerRangeByte = 1 + chance.below(2) * 100
        store = LogStore(configuration)
        hasWholeJSON = seed % 2 == 0
        var lines = FuzzLines(Chance(seed: seed, 2), breaksJSON: !hasWholeJSON)
        var made: [NaiveRow] = []
        for _ in 0..<rowCount { made.append(lines.row()) }
        var seen: Set<NaiveRow> = []
        rows = made.filter { seen.insert($0).inserted }
        var start = 0
        var generation: UInt64 = 1
        while start < made.count {
            let end = min(made.count, start + 1 + chance.below(rowCount / 2))
            store.append(
                FuzzLogs.batch(made[start..<end]), tenant: .anonymous, generation: generation,
                sequence: generation)
            start = end
            if chance.happens(2, in: 3) {
                try seal(generation)
                generation += 1
                if chance.happens(1, in: 3) { try merge() }
            }
        }
    }

    private static func batch(_ rows: ArraySlice<NaiveRow>) -> LogBatch {
        var batch = LogBatch()
        var streams: [Labels: UInt32] = [:]
        for row in rows {
            let labels = Labels(row.stream.map { ($0.key, $0.value) })
            let stream = streams[labels] ?? batch.addStream(labels)
            streams[labels] = stream
            let metadata = Labels(row.metadata.map { ($0.key, $0.value) })
            let line = row.line.withUnsafeBytes { batch.arena.keep($0) }
            let slice = metadata.bytes.withUnsafeBytes { batch.arena.keep($0) }
            batch.addRow(
                stream: stream, nanos: row.nanos, line: line, metadata: slice,
                traceID: row.metadata["trace_id"].flatMap { TraceID(hex: $0) } ?? .zero)
        }
        return batch
    }

    private func handle(_ draft: PartDraft, level: UInt8, _ sequence: UInt64) throws -> PartHandle {
        defer { nextID += 1 }
        return PartHandle(
            descriptor: PartDescriptor(
                id: nextID, signal: .logs, tenant: draft.tenant, day: draft.day, level: level,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(draft.bytes.count), retentionClass: draft.retentionClass,
                lastSequence: sequence),
            reader: try PartReader(SharedBytes(draft.bytes), name: "part-\(nextID)"))
    }

    private func seal(_ generation: UInt64) throws {
        let parts = try store.seal(generation: generation).map {
            try handle($0, level: 0, generation)
        }
        handles += parts
        store.sealed(generation: generation, parts: parts)
    }

    private func merge() throws {
        for day in Set(handles.map(\.descriptor.day)) {
            let inputs = handles.filter { $0.descriptor.day == day }
            guard inputs.count > 1 else { continue }
            let last = inputs.map(\.descriptor.lastSequence).max() ?? 0
            let merged = try store.merge(inputs, shouldStop: { false }).map {
                try handle($0, level: 1, last)
            }
            let removed = inputs.map(\.descriptor.id)
            handles = handles.filter { !removed.contains($0.descriptor.id) } + merged
            store.replace(removed: removed, added: merged)
        }
    }
}
