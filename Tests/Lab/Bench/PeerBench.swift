// SPDX-License-Identifier: Apache-2.0
// The same remote write requests into other servers.

import Base
import FoundationEssentials
import Glibc

/// Loads the metrics of a plan into other servers.
struct PeerBench: Sendable {
    let plan: BenchPlan

    func run(_ peers: [Peer]) async throws {
        var table = MarkdownTable(
            "server", "seconds", "server CPU s", "CPU ns/sample", "CPU s to its clean end",
            "peak RSS", "bytes/sample while running", "bytes/sample after a clean stop",
            "bytes/sample as a block")
        var notes: [String] = []
        for peer in peers {
            guard let binary = Binaries.find(peer.binary) else {
                notes.append("\(peer.name): no `\(peer.binary)` on this machine, left out")
                continue
            }
            complain("loading \(peer.name)")
            notes.append(
                "\(peer.name): \(try await PeerServer.version(binary, below: plan.path))")
            try await run(peer, binary, &table, &notes)
        }
        say("## The same remote write requests into other servers\n")
        say(table.text)
        for note in notes { say("- " + note) }
        say("")
    }

    private func run(
        _ peer: Peer, _ binary: String, _ table: inout MarkdownTable, _ notes: inout [String]
    ) async throws {
        let server = try await PeerServer.start(peer, binary, below: plan.path)
        let (process, client, data) = (server.process, server.client, server.data)
        let before = process.usage?.cpuSeconds ?? 0
        let report = try await LoadRun(client: client, lanes: plan.lanes).run(plan.metrics)
        guard let after = process.usage else { throw LabError("\(peer.name) is gone") }
        let running = try storedBytes(data)
        // It makes samples visible after a second or so.
        try await SystemClock().sleep(seconds: 3)
        let found = try await Counting(client: client).samples(plan.metrics)
        notes.append(
            "\(peer.name): \(found) of \(report.acknowledged) samples counted back by queries")
        let block = try await blockBytes(peer, client, data)
        try await process.stop()
        let snapshot = try storedBytes(data + "/snapshots")
        let stopped = try storedBytes(data) - snapshot
        let n = Double(max(1, report.acknowledged))
        let cpu = after.cpuSeconds - before
        table.row(
            peer.name, decimals(report.seconds, 1), decimals(cpu, 2),
            decimals(cpu * 1e9 / n, 0),
            process.totalCPUSeconds.map { decimals($0, 2) } ?? "-", megabytes(after.peakBytes),
            decimals(Double(running) / n, 2), decimals(Double(stopped) / n, 2),
            block.map { decimals(Double($0) / n, 2) } ?? "-")
    }

    /// Bytes of data in its final form. Prometheus keeps two hours in memory and log; a snapshot
    /// writes them as a block. Tern seals by age.
    private func blockBytes(_ peer: Peer, _ client: LabClient, _ data: String) async throws -> Int?
    {
        switch peer {
        case .prometheus:
            let answer = try await client.post(
                "/api/v1/admin/tsdb/snapshot", headers: [], body: [])
            guard answer.isSuccess else { return nil }
            return try storedBytes(data + "/snapshots")
        case .tern:
            try await TernMetrics(client: client).waitUntilSealed()
            return try storedBytes(data + "/parts")
        case .victoria, .victoriaLogs, .victoriaTraces: return nil
        }
    }
}
