// SPDX-License-Identifier: Apache-2.0
// `lab bench logs`: what log lines cost, beside zstd's level 3 over the same lines.

import ArgumentParser
import Base
import FoundationEssentials
import Glibc
import Shell
import Telemetry
import TestKit
import Wire

/// Lines of the shop, and of public log files where they are present, pushed to one server as Loki's
/// clients do; then sealed, merged, searched warm and after a restart.
struct LogBench: Sendable {
    let binary: String
    let path: String
    /// Raw bytes of the shop's lines.
    let byteCount: Int
    /// Raw bytes a second; 0 = as fast as they are taken.
    let rate: Double
    let batchLines: Int
    let lanes: Int
    let seed: UInt64
    let usesCorpora: Bool
    let flags: [String]

    func run() async throws {
        try await measure(
            "the shop", LineSource.shop(byteCount, seed: seed, batchLines: batchLines))
        guard usesCorpora else { return }
        if let load = LineSource.corpora(batchLines: batchLines) {
            try await measure("public log files", load)
        } else {
            say("(no corpora on this machine)")
        }
    }

    private func measure(_ name: String, _ load: LineSource) async throws {
        let data = path + "/" + name.filter { $0 != " " }
        var server = try await start(data)
        let before = server.process.usage?.cpuSeconds ?? 0
        let sent = try await push(load, to: server.client)
        let loaded = server.process.usage
        try await TernMetrics(client: server.client).waitUntilSealed()
        let rested = server.process.usage
        let warm =
            if let needle = sent.needle {
                try await search(server.client, load, needle, sent)
            } else { [(String, Double, String)]() }
        try await server.process.stop()
        let stored = try directoryBytes(data)
        say(
            "## \(name): \(sent.lines) lines, \(megabytes(sent.rawBytes)) raw, zstd -3 "
                + "\(megabytes(sent.packedBytes))\n")
        var table = MarkdownTable("what", "figure", "beside zstd -3")
        let zstd = sent.zstdSeconds
        func cpu(_ what: String, _ end: ProcessUsage?) {
            let seconds = (end?.cpuSeconds ?? before) - before
            table.row(
                what, decimals(seconds * 1e9 / Double(max(1, sent.lines)), 0) + " ns/line",
                decimals(seconds / zstd, 2) + " ×")
        }
        table.row("zstd -3", decimals(zstd * 1e9 / Double(max(1, sent.lines)), 0) + " ns/line", "1")
        cpu("CPU until the last push was answered", loaded)
        cpu("CPU until sealed and merged", rested)
        table.row(
            "all files after the stop", megabytes(stored),
            decimals(Double(stored) / Double(max(1, sent.packedBytes)), 3) + " ×")
        table.row(
            "peak RSS at \(decimals(Double(sent.rawBytes) / sent.seconds / 1e6, 1)) MB/s",
            megabytes(rested?.peakBytes ?? 0), "")
        for (what, seconds, note) in warm { table.row(what, milliseconds(seconds), note) }
        if let needle = sent.needle {
            try dropFromPageCache(data)
            server = try await start(data)
            let query = LogQuery(client: server.client, sent: sent)
            let (seconds, found) = try await query.needle(needle)
            table.row("trace id, cold, after a restart", milliseconds(seconds), "\(found) lines")
            try await server.process.stop()
        }
        say(table.text)
    }

    private func milliseconds(_ seconds: Double) -> String { decimals(seconds * 1e3, 1) + " ms" }

    private func start(_ data: String) async throws -> TernProcess {
        try await TernProcess.start(binary: binary, data: data, log: data + ".log", flags: flags)
    }

    // MARK: - Loading

    /// What went out.
    struct Sent {
        var lines = 0
        var rawBytes = 0
        var packedBytes = 0
        var zstdSeconds = 0.0
        var seconds = 0.0
        var firstNanos = Int64.max
        var lastNanos = Int64.min
        /// A trace id from the middle of the lines.
        var needle: TraceID?
    }

    private func push(_ load: LineSource, to client: LabClient) async throws -> Sent {
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
                group.addTask { try await LogBench.post(body, to: client) }
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

    private static func post(_ body: [UInt8], to client: LabClient) async throws {
        for _ in 0..<600 {
            let answer = try await client.post(
                "/loki/api/v1/push", headers: [("Content-Type", "application/x-protobuf")],
                body: body)
            if answer.isSuccess { return }
            guard answer.status == 503 || answer.status == 429 else {
                throw LabError("a push was answered \(answer.status): \(answer.text)")
            }
            try await SystemClock().sleep(seconds: 0.1)
        }
        throw LabError("a push was refused for a minute")
    }

    // MARK: - Searching

    /// Names, seconds and notes.
    private func search(
        _ client: LabClient, _ load: LineSource, _ needle: TraceID, _ sent: Sent
    ) async throws -> [(String, Double, String)] {
        let query = LogQuery(client: client, sent: sent)
        let (id, found) = try await best { try await query.needle(needle) }
        // All its words occur, so that no block is left out for its words.
        let (scan, none) = try await best { try await query.scan("retrying upstream deadlock") }
        let (count, groups) = try await best { try await query.countByService() }
        return [
            ("trace id, warm", id, "\(found) lines"),
            (
                "absent phrase of known words", scan,
                decimals(Double(sent.rawBytes) / scan / 1e9, 2) + " GB/s, \(none) lines"
            ),
            ("count_over_time by a label", count, "\(groups) groups"),
        ]
    }

    private func best(
        _ body: () async throws -> (seconds: Double, count: Int)
    ) async throws -> (seconds: Double, count: Int) {
        var best = try await body()
        for _ in 0..<4 {
            let again = try await body()
            if again.seconds < best.seconds { best = again }
        }
        return best
    }

    /// Asks the kernel to forget the pages of the server's own files.
    private func dropFromPageCache(_ path: String) throws {
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            let descriptor = open(path + "/" + name, O_RDONLY)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            _ = fsync(descriptor)
            _ = posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
        }
    }
}

/// The questions of the bench, over all that was sent.
private struct LogQuery: Sendable {
    let client: LabClient
    let sent: LogBench.Sent

    private func timed(
        _ path: String, _ parameters: [(String, String)], _ count: (JSONValue) throws -> Int
    ) async throws -> (seconds: Double, count: Int) {
        let clock = SystemClock()
        let begin = clock.monotonicNanos
        let answer = try await client.json(path, parameters)
        let seconds = Double(clock.monotonicNanos - begin) / 1e9
        return (seconds, try count(answer))
    }

    private func lines(_ query: String) async throws -> (seconds: Double, count: Int) {
        try await timed(
            "/loki/api/v1/query_range",
            [
                ("query", query), ("start", "\(sent.firstNanos)"), ("end", "\(sent.lastNanos + 1)"),
                ("limit", "1000"),
            ]
        ) { answer in
            answer["data"]["result"].items.reduce(0) { $0 + $1["values"].items.count }
        }
    }

    func needle(_ id: TraceID) async throws -> (seconds: Double, count: Int) {
        try await lines("{namespace=\"shop\"} |= `\(id)`")
    }

    func scan(_ phrase: String) async throws -> (seconds: Double, count: Int) {
        try await lines("{namespace=\"shop\"} |= `\(phrase)`")
    }

    func countByService() async throws -> (seconds: Double, count: Int) {
        let seconds = (sent.lastNanos - sent.firstNanos) / 1_000_000_000 + 2
        return try await timed(
            "/loki/api/v1/query",
            [
                (
                    "query",
                    "sum by (service_name) (count_over_time({namespace=\"shop\"}[\(seconds)s]))"
                ), ("time", "\(sent.lastNanos + 1)"),
            ]
        ) { $0["data"]["result"].items.count }
    }
}

extension BenchCommand {
    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "CPU, memory, disk and searches of a server that takes log lines.")

        @Option(help: "The server's binary (the one built beside this).")
        var binary = Binaries.tern
        @Option(help: "Raw megabytes of the shop's lines.")
        var megabytes = 100
        @Option(help: "Raw megabytes a second; 0 = as fast as they are taken.")
        var rate = 20.0
        @Option(help: "Lines of a push.")
        var batchLines = 1000
        @Option(help: "Pushes at once.")
        var concurrency = 4
        @Option(help: "Seed of the data.")
        var seed: UInt64 = 1
        @Flag(inversion: .prefixedNo, help: "Also public log files, where they are present.")
        var corpora = true
        @Option(help: "The server's --storage.seal-age.")
        var sealAge = "15s"
        @Option(help: "Where data directories are made (the system's temporary directory).")
        var directory: String?
        @Flag(help: "Keep the data directories and logs.")
        var keep = false

        func run() async throws {
            try await Cleanup.shared.around {
                let path = try Cleanup.shared.directory(below: directory, keep: keep)
                if keep { say("directory \(path)") }
                try await LogBench(
                    binary: binary, path: path, byteCount: megabytes * 1_000_000,
                    rate: rate * 1e6, batchLines: max(1, batchLines), lanes: max(1, concurrency),
                    seed: seed, usesCorpora: corpora, flags: ["--storage.seal-age", sealAge]
                ).run()
            }
        }
    }
}
