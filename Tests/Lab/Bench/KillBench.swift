// SPDX-License-Identifier: Apache-2.0
// How soon a server is back that is killed while series come in.

import Base
import Glibc
import Synchronization
import TestKit

/// Loads many series and kills the server at moments of the load; what was acknowledged is counted
/// back each time.
struct KillBench: Sendable {
    let binary: String
    let path: String
    let load: MetricLoad
    let lanes: Int
    /// Shares of the series, in percent, that have a sample when the server is killed. Above 100: in
    /// later scrapes.
    let momentsPercent: [Int]
    let flags: [String]

    private final class Progress: Sendable {
        struct Counts: Sendable {
            /// Next batch by lane.
            var next: [Int]
            var sent = 0
            var acknowledged = 0
        }
        private let counts: Mutex<Counts>

        init(lanes: Int) { counts = Mutex(Counts(next: [Int](repeating: 0, count: lanes))) }

        func withLock<R: Sendable>(_ body: (inout sending Counts) -> sending R) -> R {
            counts.withLock(body)
        }
    }

    func run() async throws {
        let progress = Progress(lanes: lanes)
        var table = MarkdownTable(
            "killed at", "acknowledged", "head MB", "log MB", "seals before",
            "estimated replay, s", "ready, s", "of that replay, s", "RSS after it",
            "counted back")
        var server = try await PeerServer.start(.tern(binary), binary, below: path, flags: flags)
        for percent in momentsPercent {
            let goal = load.shape.seriesCount / 100 * percent
            complain("until \(percent) %")
            let (client, process) = (server.client, server.process)
            let before = try await withThrowingTaskGroup(of: [String: Double].self) { group in
                for lane in 0..<lanes {
                    group.addTask {
                        try await run(lane, progress, client)
                        return [:]
                    }
                }
                group.addTask {
                    var page: [String: Double] = [:]
                    while progress.withLock({ $0.acknowledged }) < goal {
                        page = try await TernMetrics(client: client).page()
                        try await SystemClock().sleep(seconds: 0.05)
                    }
                    process.signal(SIGKILL)
                    return page
                }
                var page: [String: Double] = [:]
                for try await one in group where !one.isEmpty { page = one }
                return page
            }
            try await server.process.wait(seconds: 60)
            server = try await PeerServer.start(.tern(binary), binary, below: path, flags: flags)
            let after = try await TernMetrics(client: server.client).page()
            let resident = server.process.usage?.residentBytes ?? 0
            let found = try await Counting(client: server.client).samples(load)
            let (sent, acknowledged) = progress.withLock { ($0.sent, $0.acknowledged) }
            guard found >= acknowledged, found <= sent else {
                throw LabError(
                    "\(acknowledged) samples were acknowledged of \(sent), \(found) are there")
            }
            func value(_ page: [String: Double], _ name: String, _ scale: Double) -> String {
                decimals((page[name] ?? 0) / scale, scale == 1 ? 2 : 0)
            }
            table.row(
                "\(percent) %", String(acknowledged),
                value(before, "tern_storage_head_bytes", 1e6),
                value(before, "tern_storage_log_bytes", 1e6),
                String(Int(before["tern_storage_seals_total"] ?? 0)),
                value(before, "tern_storage_replay_estimate_seconds", 1),
                decimals(server.readySeconds, 2),
                value(after, "tern_storage_replay_seconds", 1), megabytes(resident),
                "\(found) of \(acknowledged) to \(sent)")
        }
        try await server.process.stop(seconds: 300)
        say("## \(load.shape.seriesCount) series, killed while they come in\n")
        say(table.text)
    }

    /// Sends a lane's batches until the server is gone.
    private func run(
        _ lane: Int, _ progress: Progress, _ client: LabClient
    ) async throws {
        while true {
            let batch = progress.withLock { progress -> Int in
                var batch = progress.next[lane]
                while load.lane(ofBatch: batch, lanes: lanes) != lane { batch += 1 }
                progress.next[lane] = batch + 1
                return batch
            }
            guard batch < load.batchCount else { return }
            let request = try load.request(batch)
            progress.withLock { $0.sent += request.items }
            while true {
                let answer: LabAnswer
                do {
                    answer = try await client.post(
                        request.path, headers: request.headers, body: request.body)
                } catch {
                    return
                }
                if answer.isSuccess { break }
                guard answer.status == 429 || answer.status == 503 else {
                    throw LabError("batch \(batch) was answered \(answer.status): \(answer.text)")
                }
                try await SystemClock().sleep(seconds: 0.5)
            }
            progress.withLock { $0.acknowledged += request.items }
        }
    }
}
