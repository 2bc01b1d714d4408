// SPDX-License-Identifier: Apache-2.0
// `lab crash`: kill -9 under load, again and again.

import ArgumentParser
import Base
import Glibc
import TestKit

struct CrashCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crash",
        abstract: "Kill a server under load and compare what it kept with what it acknowledged.")

    @Option(help: "The server's binary (the one built beside this).")
    var binary = Binaries.tern
    @Option(help: "How often to kill it.")
    var kills = 50
    @Option(help: "Seed of the data and of the moments.")
    var seed: UInt64 = 1
    @Option(help: "Where the data directory is made (the system's temporary directory).")
    var directory: String?
    @Option(name: .customLong("seal-age"), help: "Short, so that kills fall into seals and merges.")
    var sealAge = "2s"
    @Option(
        name: .customLong("compaction-interval"),
        help: "Short, so that kills fall into merges, retention and down-sampling.")
    var compaction = "300ms"
    @Option(name: .customLong("longest"), help: "Longest time from readiness to a kill.")
    var longest = "3s"
    @Flag(help: "Keep the data directory.")
    var keep = false

    func run() async throws {
        try await Cleanup.shared.around {
            let path = try Cleanup.shared.directory(below: directory, keep: keep)
            if keep { say("directory \(path)") }
            let loop = CrashLoop(
                binary: binary, path: path, kills: kills, seed: seed,
                flags: [
                    "--storage.seal-age", sealAge, "--storage.compaction-interval", compaction,
                    "--web.enable-admin-api",
                ], longestNanos: try duration(longest))
            let report = try await loop.run()
            say(report.text)
            if !report.isSound { throw ExitCode.failure }
        }
    }
}

/// The loop of load, kill, restart and check.
struct CrashLoop: Sendable {
    let binary: String
    let path: String
    let kills: Int
    let seed: UInt64
    let flags: [String]
    let longestNanos: Int64

    func run() async throws -> CrashReport {
        let clock = SystemClock()
        var chance = Chance(seed: seed, 20)
        // Two hours back on a whole second: the run's own time is faster than the clock's.
        let start = clock.wallNanos / 1_000_000_000 * 1_000_000_000 - 7_200_000_000_000
        let run = CrashRun(seed: seed, startNanos: start)
        var report = CrashReport(kills: kills)
        let receiver = try await TernProcess.start(
            binary: binary, data: path + "/receiver", log: path + "/receiver.log", flags: [])
        let settings = Self.settings(receiver: receiver.client.url)
        let work = WorkCount()
        var lines: [Int: Set<Int64>] = [:]
        var lateBatches = 0
        var checked = CrashWindow(metrics: 0..<0, logs: 0..<0, traces: 0..<0)
        for round in 0..<kills {
            let server = try await self.start(round, settings, &report)
            if round > 0 {
                // At once, as senders do, and before days are down-sampled with it.
                try await run.fates.resend(.coarse, server.client)
                let window = window(run, after: checked)
                var findings = try await CrashCheck(run: run, client: server.client)
                    .check(window, lines: &lines)
                let late = SpanFateCheck(run: run.spanFates, client: server.client)
                var fates = try await checkFates(run, server.client, &findings)
                fates.append(
                    try await late.check(late.traces(since: lateBatches)) { findings.note($0) })
                lateBatches = run.spanFates.ledger.end
                report.take(findings, fates, when: "after kill \(round)")
                checked = window
                try await run.fates.resend(.deleted, server.client)
                try await run.logFates.resend(.deleted, server.client)
                try await run.spanFates.resend(server.client)
            }
            let until =
                clock.monotonicNanos + 100_000_000 + Int64(chance.fraction() * Double(longestNanos))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await run.load(server.client, untilMonotonicNanos: .max) }
                group.addTask { try await run.fates.load(server.client, round: round) }
                group.addTask { try await run.logFates.load(server.client, round: round) }
                group.addTask { try await run.spanFates.load(server.client) }
                group.addTask { try await work.watch(server.client) }
                group.addTask {
                    try await clock.sleep(untilMonotonicNanos: until)
                    server.process.signal(SIGKILL)
                }
                try await group.waitForAll()
            }
            try await server.process.wait(seconds: 10)
        }
        try await finish(run, settings, receiver, &report)
        report.work = work.counts
        return report
    }

    /// Everything that changes parts, and a second server that gets all samples.
    private static func settings(receiver: String) -> String {
        """
        storage:
          retention:
            - match: ['{retain="short"}']
              time: \(FateShape.shortMillis / 1000)s
          downsampling:
            - {after: 2d, resolution: 5m}
            - {after: 4d, resolution: 1h}
        remote_write:
          - url: \(receiver)/api/v1/write
            name: second
            queue_config: {batch_send_deadline: 200ms}

        """
    }

    private func checkFates(
        _ run: CrashRun, _ client: LabClient, _ findings: inout CrashFindings
    ) async throws -> [FateVerdict] {
        try await FateCheck(run: run.fates, client: client)
            .check(isRaw: false) { findings.note($0) }
            + LogFateCheck(run: run.logFates, client: client).check { findings.note($0) }
    }

    /// Everything is checked after the last kill, and again after a clean stop.
    private func finish(
        _ run: CrashRun, _ settings: String, _ receiver: TernProcess,
        _ report: inout CrashReport
    ) async throws {
        for (number, when) in ["at the end", "after a clean stop"].enumerated() {
            let server = try await start(kills + number, settings, &report)
            try await run.fates.resend(.coarse, server.client)
            var lines: [Int: Set<Int64>] = [:]
            let none = CrashWindow(metrics: 0..<0, logs: 0..<0, traces: 0..<0)
            let check = CrashCheck(run: run, client: server.client)
            var findings = try await check.check(window(run, after: none), lines: &lines)
            try await check.checkUnknownTraces(&findings)
            var fates = try await checkFates(run, server.client, &findings)
            let late = SpanFateCheck(run: run.spanFates, client: server.client)
            fates.append(try await late.check(late.traces(since: 0)) { findings.note($0) })
            report.take(findings, fates, when: when)
            report.final = findings
            report.finalFates = fates
            if number == 0 {
                let forwarded = try await ForwardCheck(
                    run: run, sender: server.client, receiver: receiver.client
                ).check()
                report.take(
                    forwarded.machines, forwarded.fates, when: "at the second server")
                report.forwarded = forwarded
            }
            try await server.process.stop()
        }
        try await receiver.process.stop()
        let check = try ServerProcess(
            binary, ["check", "data", path + "/data"], logPath: path + "/check.log")
        let status = try await check.wait(seconds: 120)
        report.checkOutput = check.log
        report.checkPassed = status == 0
        report.fateItems =
            Fate.allCases.map { run.fates.ledger($0).batches.acknowledgedItems }
            + LogFate.allCases.map { run.logFates.ledger($0).batches.acknowledgedItems }
            + [run.spanFates.ledger.acknowledgedItems]
        for signal in CrashSignal.allCases {
            let ledger = run.ledger(signal)
            report.batches.append((ledger.end, ledger.acknowledgedBatches))
            report.items.append(ledger.acknowledgedItems)
        }
    }

    private func start(
        _ number: Int, _ settings: String, _ report: inout CrashReport
    ) async throws -> TernProcess {
        let server = try await TernProcess.start(
            binary: binary, data: path + "/data", log: path + "/server-\(number).log",
            flags: flags, settings: settings)
        if number > 0 { report.readySeconds.append(server.readySeconds) }
        return server
    }

    private func window(_ run: CrashRun, after checked: CrashWindow) -> CrashWindow {
        CrashWindow(
            metrics: checked.metrics.upperBound..<run.ledger(.metrics).end,
            logs: checked.logs.upperBound..<run.ledger(.logs).end,
            traces: checked.traces.upperBound..<run.ledger(.traces).end)
    }
}
