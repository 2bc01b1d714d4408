// SPDX-License-Identifier: Apache-2.0
// What sealing log lines costs by itself: for profiles and counts of instructions.

import Base
import Glibc
import LogStore
import Storage
import Telemetry
import TestKit

/// Lines of the shop go into a head and from there into parts, on one thread and without files.
/// `BENCH_LINES` (200,000): the size of the data. `BENCH_SEALS` (1): into how many parts.
/// `BENCH_TURNS` (1): how often a head is sealed, for profiles. zstd's level 3 over the same lines, in
/// pieces of 1 MiB, is the measure. The hash tells whether a change left the bytes of parts alone.
@main
struct Main {
    static func main() throws {
        let lines = setting("BENCH_LINES", 200_000)
        let seals = max(1, setting("BENCH_SEALS", 1))
        let turns = max(1, setting("BENCH_TURNS", 1))
        let day: Int64 = 86_400_000_000_000
        let shape = LogShape(
            timeline: Timeline(seed: 1, startNanos: 20_000 * day), lineEveryNanos: 2_000_000,
            batchLines: 1000)
        let logs = LogStore()
        let batches = shape.batchCount(lines: lines)
        var zstd = 0.0, appending = 0.0, sealing = 0.0
        var raw = 0, packed = 0, parts = 0
        var digest: UInt64 = 0
        var piece: [UInt8] = []
        for index in 0..<batches {
            let batch = shape.batch(index, lines: lines)
            for line in batch.lines { piece.append(contentsOf: batch.arena[line.range] + [10]) }
            var begin = cpu()
            if piece.count >= 1 << 20 || index == batches - 1 {
                packed += Zstd.compress(piece, level: 3).count
                raw += piece.count
                piece.removeAll(keepingCapacity: true)
            }
            zstd += cpu() - begin
            begin = cpu()
            let generation = UInt64(index * seals / batches)
            logs.append(
                batch, tenant: .anonymous, generation: generation, sequence: UInt64(index + 1))
            appending += cpu() - begin
            guard (index + 1) * seals / batches > index * seals / batches else { continue }
            begin = cpu()
            var drafts: [PartDraft] = []
            for _ in 0..<turns { drafts = try logs.seal(generation: generation) }
            sealing += (cpu() - begin) / Double(turns)
            for draft in drafts {
                parts += draft.bytes.count
                digest = hash64(draft.bytes, seed: digest)
            }
            logs.sealed(generation: generation, parts: [])
        }
        func show(_ name: String, _ seconds: Double) {
            let nanos = Int(seconds / Double(lines) * 1e9)
            print("\(name): \(nanos) ns a line, \(seconds / zstd) of zstd -3")
        }
        print("\(lines) lines, \(raw) bytes, zstd -3 \(packed) bytes")
        show("zstd -3", zstd)
        show("append", appending)
        show("seal", sealing)
        print("parts \(parts) bytes, \(Double(parts) / Double(packed)) of zstd -3, hash \(digest)")
    }

    private static func setting(_ name: String, _ otherwise: Int) -> Int {
        getenv(name).map { Int(atoi($0)) } ?? otherwise
    }

    private static func cpu() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
