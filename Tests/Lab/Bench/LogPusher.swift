// SPDX-License-Identifier: Apache-2.0
// Lines on their way to a server, and the measure beside them.

import Base
import Glibc
import Telemetry
import TestKit
import Wire

/// Pushes lines as Loki's clients do, protobuf in snappy, and compresses the same lines with zstd's
/// level 3 in pieces of 1 MiB on a thread of its own time.
struct LogPusher: Sendable {
    let client: LabClient
    /// Path of the server's push.
    let path: String
    /// Raw bytes a second; 0 = as fast as they are taken.
    let rate: Double
    let lanes: Int

    /// What went out.
    struct Sent: Sendable {
        var lines = 0
        /// Line feeds included.
        var rawBytes = 0
        var packedBytes = 0
        var zstdSeconds = 0.0
        var seconds = 0.0
        var firstNanos = Int64.max
        var lastNanos = Int64.min
        /// A trace id from the middle of the lines.
        var needle: TraceID?
    }

    func push(_ load: LineSource) async throws -> Sent {
        var sent = Sent()
        var piece: [UInt8] = []
        let clock = SystemClock()
        let start = clock.monotonicNanos
        var round = 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            while let batch = load.batch(round) {
                for row in 0..<batch.rowCount {
                    piece += batch.arena[batch.lines[row].range]
                    piece.append(UInt8(ascii: "\n"))
                    sent.rawBytes += Int(batch.lines[row].count) + 1
                    sent.firstNanos = min(sent.firstNanos, batch.nanos[row])
                    sent.lastNanos = max(sent.lastNanos, batch.nanos[row])
                }
                sent.lines += batch.rowCount
                if let needle = batch.traceIDs.first(where: { !$0.isZero }),
                    sent.needle == nil || round == load.middle
                {
                    sent.needle = needle
                }
                round += 1
                if piece.count >= 1 << 20 || load.batch(round) == nil {
                    compress(&piece, &sent)
                }
                let body = Snappy.compress(LokiPush.encodeProtobuf(batch))
                if running == lanes {
                    try await group.next()
                    running -= 1
                }
                group.addTask { try await post(body) }
                running += 1
                if rate > 0 {
                    let due = Double(sent.rawBytes) / rate
                    let ahead = due - Double(clock.monotonicNanos - start) / 1e9
                    if ahead > 0 { try await clock.sleep(seconds: ahead) }
                }
            }
            try await group.waitForAll()
        }
        sent.seconds = Double(clock.monotonicNanos - start) / 1e9
        return sent
    }

    /// The measure: the better of two runs, so that what disturbs one of them does not count.
    private func compress(_ piece: inout [UInt8], _ sent: inout Sent) {
        var best = Double.infinity
        for turn in 0..<2 {
            let begin = threadSeconds()
            let count = Zstd.compress(piece, level: 3).count
            best = min(best, threadSeconds() - begin)
            if turn == 0 { sent.packedBytes += count }
        }
        sent.zstdSeconds += best
        piece.removeAll(keepingCapacity: true)
    }

    private func threadSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func post(_ body: [UInt8]) async throws {
        for _ in 0..<600 {
            let answer = try await client.post(
                path, headers: [("Content-Type", "application/x-protobuf")], body: body)
            if answer.isSuccess { return }
            guard answer.status == 503 || answer.status == 429 else {
                throw LabError("a push was answered \(answer.status): \(answer.text)")
            }
            try await SystemClock().sleep(seconds: 0.1)
        }
        throw LabError("a push was refused for a minute")
    }
}
