// SPDX-License-Identifier: Apache-2.0
// `lab bench promql`: the same queries over the same data in three servers.

import ArgumentParser
import Base
import FoundationEssentials
import Glibc
import Shell
import TestKit

/// One size of data: machines on a 15 s grid, and a metric with a value per request.
struct PromDataSet: Sendable {
    let name: String
    let metrics: MetricLoad
    let ids: IdentifierLoad
    /// When queries are evaluated, seconds: half a step after the last sample.
    let endSeconds: Int64

    /// - Parameters:
    ///   - series: rounded up to whole machines.
    ///   - seconds: length of the data, which ends about now.
    init(series: Int, seconds: Int64, ids: Int, seed: UInt64) {
        let now = SystemClock().wallNanos / 1_000_000_000
        let start = (now - seconds - 60) * 1_000_000_000
        let timeline = Timeline(seed: seed, startNanos: start)
        let perHost = MetricShape(timeline: timeline, hosts: 1, batchSamples: 1).seriesCount
        let hosts = (series + perHost - 1) / perHost
        let steps = Int(seconds / 15)
        // Requests of one size, so that no lane runs ahead: Prometheus refuses what is an hour
        // older than the newest.
        let requestsPerStep = (hosts * perHost + 4999) / 5000
        let shape = MetricShape(
            timeline: timeline, hosts: hosts,
            batchSamples: (hosts * perHost + requestsPerStep - 1) / requestsPerStep)
        metrics = MetricLoad(shape: shape, samples: shape.seriesCount * steps, version: .rw1)
        // Between two scrapes: ranges of Prometheus before 3.0 are closed on both sides.
        endSeconds = shape.millis(step: steps - 1) / 1000 + 7
        self.ids = IdentifierLoad(count: ids, millis: endSeconds * 1000 - 15_000)
        name = "\(shape.seriesCount) series × \(seconds / 60) min at 15 s"
    }
}

/// What one query cost in one server.
private struct PromCost {
    var medianMillis = 0.0
    var cpuMillis = 0.0
    var peakBytes = 0
    var answerBytes = 0
    /// Series of the answer; nil = it was refused.
    var rows: Int?
    var refusal = ""
}

/// Loads each data set into each server and asks all queries; one server at a time.
struct PromBench: Sendable {
    let peers: [Peer]
    let dataSets: [PromDataSet]
    let path: String
    let repeats: Int
    let lanes: Int

    func run() async throws {
        for data in dataSets {
            let queries = PromQuery.all(ids: data.ids.count)
            var costs: [[PromCost]] = []
            var names: [String] = []
            var notes: [String] = []
            for peer in peers {
                guard let binary = Binaries.find(peer.binary) else {
                    notes.append("\(peer.name): no `\(peer.binary)` on this machine, left out")
                    continue
                }
                let version = try await PeerServer.version(binary, below: path)
                notes.append("\(peer.name): \(version)")
                names.append(peer.name)
                costs.append(try await measure(peer, binary, data, queries, &notes))
            }
            say("## \(data.name)\n")
            say(table(names, queries, costs))
            for note in notes { say("- " + note) }
            say("")
        }
    }

    private func measure(
        _ peer: Peer, _ binary: String, _ data: PromDataSet, _ queries: [PromQuery],
        _ notes: inout [String]
    ) async throws -> [PromCost] {
        complain("\(peer.name): loading \(data.name)")
        let server = try await PeerServer.start(
            peer, binary, below: path, flags: peer.queryFlags)
        let report = try await LoadRun(client: server.client, lanes: lanes).run(data.metrics)
        let ids = try await LoadRun(client: server.client, lanes: lanes).run(data.ids)
        try await server.settle(peer)
        notes.append(
            "\(peer.name): \(report.acknowledged + ids.acknowledged) samples loaded in "
                + "\(decimals(report.seconds + ids.seconds, 0)) s; resident "
                + megabytes(server.process.usage?.residentBytes ?? 0) + " before the queries")
        let idle = server.process.usage?.residentBytes ?? 0
        var costs: [PromCost] = []
        for (i, query) in queries.enumerated() {
            complain("\(peer.name): \(i + 1) of \(queries.count): \(query.shown)")
            costs.append(try await cost(of: query, data, server, idleBytes: idle))
        }
        try await server.process.stop()
        try FileManager.default.removeItem(atPath: server.data)
        return costs
    }

    private func cost(
        of query: PromQuery, _ data: PromDataSet, _ server: PeerServer, idleBytes: Int
    ) async throws -> PromCost {
        let request = query.request(end: data.endSeconds)
        server.process.resetPeak()
        var cost = PromCost()
        // The first run pays for what the system has to read, and shows the answer.
        let answer = try await server.client.get(request.path, request.parameters)
        cost.answerBytes = answer.body.count
        guard answer.isSuccess else {
            cost.refusal = "\(answer.status): \(answer.text)"
            return cost
        }
        cost.rows = try rows(answer)
        let before = server.process.usage?.cpuSeconds ?? 0
        let clock = SystemClock()
        var millis: [Double] = []
        for _ in 0..<repeats {
            let start = clock.monotonicNanos
            _ = try await server.client.get(request.path, request.parameters)
            millis.append(Double(clock.monotonicNanos - start) / 1e6)
        }
        let after = server.process.usage
        cost.medianMillis = millis.sorted()[millis.count / 2]
        cost.cpuMillis = ((after?.cpuSeconds ?? before) - before) * 1000 / Double(repeats)
        cost.peakBytes = max(0, (after?.peakBytes ?? 0) - idleBytes)
        return cost
    }

    private func rows(_ answer: LabAnswer) throws -> Int {
        let data = try JSONValue(parsing: answer.body)["data"]
        return data["resultType"] == .null ? data.items.count : data["result"].items.count
    }

    private func table(
        _ names: [String], _ queries: [PromQuery], _ costs: [[PromCost]]
    ) -> String {
        var heads = ["query", "series"]
        for name in names { heads += ["\(name) ms", "CPU ms", "memory"] }
        var table = MarkdownTable(heads)
        for (i, query) in queries.enumerated() {
            let rows = costs.map { $0[i].rows.map(String.init) ?? "refused" }
            let agree = Set(rows).count == 1
            var cells = [query.shown, agree ? rows[0] : rows.joined(separator: " / ")]
            for cost in costs.map({ $0[i] }) {
                if cost.rows == nil {
                    cells += [cost.refusal.isEmpty ? "-" : "refused", "-", "-"]
                    complain("refused: \(query.shown): \(cost.refusal)")
                    continue
                }
                cells += [
                    decimals(cost.medianMillis, 1), decimals(cost.cpuMillis, 0),
                    megabytes(cost.peakBytes),
                ]
            }
            table.row(cells)
        }
        return table.text
    }
}

extension Peer {
    /// So that each query is computed each time, by all servers.
    fileprivate var queryFlags: [String] {
        switch self {
        case .victoria: ["-search.disableCache"]
        case .victoriaLogs, .victoriaTraces: []
        case .prometheus: ["--storage.tsdb.retention.time=10y"]
        case .tern: []
        }
    }
}

/// One sample each of many series that differ in one label.
struct IdentifierLoad: LoadSource {
    let count: Int
    let millis: Int64
    private static let batchSamples = 5000
    var item: String { "sample" }
    var batchCount: Int { (count + Self.batchSamples - 1) / Self.batchSamples }

    func request(_ batch: Int) throws -> LoadRequest {
        let range = batch * Self.batchSamples..<min(count, (batch + 1) * Self.batchSamples)
        return try remoteWriteRequest(
            range.map { i in
                let digits = String(i)
                let id = "id-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
                return ([("__name__", "lab_request_seconds"), ("id", id)], Double(i % 977) / 100)
            }, millis: millis)
    }
}

extension BenchCommand {
    struct PromQL: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "promql",
            abstract: "Ask the same PromQL queries of Tern, Prometheus and VictoriaMetrics.",
            discussion: "One server after the other, over the same data: 10,000 series for four "
                + "hours and 100,000 series for one. Latency is the median; CPU is user and "
                + "system time of the server's process per query; memory is how far its resident "
                + "set rose above what it was before the first query.")

        @OptionGroup var servers: PeerOptions
        @Option(help: "Times each query is asked after the first.")
        var repeats = 7
        @Option(help: "small, large or both sizes of data.")
        var data = "both"
        @Flag(help: "A tenth of the series for a quarter of the time: to try the command.")
        var quick = false

        func validate() throws {
            guard ["small", "large", "both"].contains(data) else {
                throw ValidationError("--data takes small, large or both, not \(data)")
            }
            guard repeats > 0 else { throw ValidationError("--repeats is at least 1") }
        }

        func run() async throws {
            try await Cleanup.shared.around {
                let path = try Cleanup.shared.directory(
                    below: servers.directory, keep: servers.keep)
                if servers.keep { say("directory \(path)") }
                let (less, shorter): (Int, Int64) = quick ? (10, 4) : (1, 1)
                var sets: [PromDataSet] = []
                if data != "large" {
                    sets.append(
                        PromDataSet(
                            series: 10_000 / less, seconds: 14_400 / shorter, ids: 0,
                            seed: servers.seed))
                }
                if data != "small" {
                    sets.append(
                        PromDataSet(
                            series: 100_000 / less, seconds: 3600 / shorter,
                            ids: 100_000 / less, seed: servers.seed))
                }
                try await PromBench(
                    peers: servers.peers,
                    dataSets: sets, path: path, repeats: repeats, lanes: servers.concurrency
                ).run()
            }
        }
    }
}
