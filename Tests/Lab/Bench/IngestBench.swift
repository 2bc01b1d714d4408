// SPDX-License-Identifier: Apache-2.0
// Tern under all three signals in one process.

import Base
import Shell
import TestKit

struct IngestBench: Sendable {
    let plan: BenchPlan
    let binary: String
    let memoryLimit: String
    let sealAge: String

    /// One signal's figures.
    private struct Figures {
        var report: LoadReport
        var cpuUntilAcknowledged: Double
        var cpuUntilSealed: Double
        var partBytes: Int
        var peakBytes: Int
    }

    func run() async throws {
        let server = try await TernProcess.start(
            binary: binary, data: plan.path + "/tern", log: plan.path + "/tern.log",
            flags: ["--memory.limit", memoryLimit, "--storage.seal-age", sealAge])
        var table = MarkdownTable(
            "signal", "items", "seconds", "items/s", "server CPU s", "CPU ns/item",
            "CPU ns/item with sealing", "client CPU s", "wire bytes/item", "disk bytes/item",
            "peak RSS so far")
        let counting = Counting(client: server.client)
        var counted: [String] = []
        if plan.samples > 0 {
            let figures = try await load(plan.metrics, "metrics", server)
            add(figures, "samples", to: &table)
            try await count("samples", figures.report.acknowledged, server, &counted) {
                try await counting.samples(plan.metrics)
            }
        }
        if plan.logBytes > 0 {
            let figures = try await load(plan.logs, "logs", server)
            add(figures, "log lines", to: &table)
            counted.append(logSizes(figures.report, figures.partBytes))
            try await count("log lines", figures.report.acknowledged, server, &counted) {
                try await counting.lines(plan.logs)
            }
        }
        if plan.spans > 0 {
            let figures = try await load(plan.traces, "traces", server)
            add(figures, "spans", to: &table)
            try await count("spans", figures.report.acknowledged, server, &counted) {
                try await counting.spans(plan.traces)
            }
        }
        say("## One Tern process, all three signals (--memory.limit \(memoryLimit))\n")
        say(table.text)
        for line in counted { say("- " + line) }
        say("- \(try await totals(server))\n")
        complain("timing queries")
        say("## Queries over that data\n")
        say(try await QueryBench(plan: plan, server: server).run())
        if let usage = server.process.usage {
            say("Peak RSS with the queries: \(megabytes(usage.peakBytes)).\n")
        }
        try await server.process.stop()
    }

    private func usage(_ server: TernProcess) throws -> ProcessUsage {
        guard let usage = server.process.usage else {
            throw LabError("the server is gone; its log:\n\(server.process.log.suffix(2000))")
        }
        return usage
    }

    private func load(
        _ source: any LoadSource, _ signal: String, _ server: TernProcess
    ) async throws -> Figures {
        complain("loading \(signal)")
        let before = try usage(server)
        let report = try await LoadRun(client: server.client, lanes: plan.lanes).run(source)
        let acknowledged = try usage(server)
        complain("waiting until they are sealed")
        try await TernMetrics(client: server.client).waitUntilSealed()
        let sealed = try usage(server)
        return Figures(
            report: report, cpuUntilAcknowledged: acknowledged.cpuSeconds - before.cpuSeconds,
            cpuUntilSealed: sealed.cpuSeconds - before.cpuSeconds,
            partBytes: try await TernMetrics(client: server.client)
                .value("tern_storage_part_bytes{signal=\"\(signal)\"}"),
            peakBytes: sealed.peakBytes)
    }

    private func add(_ figures: Figures, _ item: String, to table: inout MarkdownTable) {
        let n = Double(max(1, figures.report.acknowledged))
        table.row(
            item, String(figures.report.acknowledged), decimals(figures.report.seconds, 1),
            decimals(n / max(0.001, figures.report.seconds), 0),
            decimals(figures.cpuUntilAcknowledged, 2),
            decimals(figures.cpuUntilAcknowledged * 1e9 / n, 0),
            decimals(figures.cpuUntilSealed * 1e9 / n, 0),
            decimals(figures.report.clientCPUSeconds, 2),
            decimals(Double(figures.report.bodyBytes) / n, 1),
            decimals(Double(figures.partBytes) / n, 2), megabytes(figures.peakBytes))
    }

    private func logSizes(_ report: LoadReport, _ partBytes: Int) -> String {
        let ratio = Double(report.dataBytes) / Double(max(1, partBytes))
        return "logs: \(megabytes(report.dataBytes)) of lines lie in \(megabytes(partBytes)) of "
            + "parts: \(decimals(ratio, 1)) to 1"
    }

    private func count(
        _ item: String, _ sent: Int, _ server: TernProcess, _ lines: inout [String],
        _ body: () async throws -> Int
    ) async throws {
        complain("counting \(item) back")
        let clock = SystemClock()
        let start = clock.monotonicNanos
        let cpu = try usage(server).cpuSeconds
        let found = try await body()
        lines.append(
            "\(item): \(found) of \(sent) counted back by queries in "
                + "\(decimals(Double(clock.monotonicNanos - start) / 1e9, 2)) s, "
                + "\(decimals(try usage(server).cpuSeconds - cpu, 2)) s of server CPU")
        guard found == sent else {
            throw LabError("\(sent) \(item) were acknowledged, queries find \(found)")
        }
    }

    private func totals(_ server: TernProcess) async throws -> String {
        let metrics = TernMetrics(client: server.client)
        let index = try await metrics.value("tern_storage_part_bytes{signal=\"correlation\"}")
        let log = try await metrics.value("tern_storage_log_bytes")
        let all = try directoryBytes(plan.path + "/tern")
        return "data directory \(megabytes(all)), of which \(megabytes(index)) correlation index "
            + "and \(megabytes(log)) write-ahead log"
    }
}
