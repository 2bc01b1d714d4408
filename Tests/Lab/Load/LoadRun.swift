// SPDX-License-Identifier: Apache-2.0
// Sending a run of requests.

import Base
import NIOHTTP1
import Synchronization

/// What came of a run.
struct LoadReport: Sendable {
    var requests = 0
    var acknowledged = 0
    /// Answers 429 and 503, after which the request was sent again.
    var delayed = 0
    var bodyBytes = 0
    var dataBytes = 0
    var seconds = 0.0
    var clientCPUSeconds = 0.0

    mutating func add(_ other: LoadReport) {
        requests += other.requests
        acknowledged += other.acknowledged
        delayed += other.delayed
        bodyBytes += other.bodyBytes
        dataBytes += other.dataBytes
    }
}

/// Sends every batch of a source once, over several lanes.
struct LoadRun: Sendable {
    let client: LabClient
    var lanes = 4
    /// Items per second, or as fast as they are taken.
    var rate: Double?
    /// Answers 429 and 503 in a row after which a lane gives up.
    var patience = 100

    /// - Throws: when a connection breaks or an answer refuses data for good.
    func run(_ source: any LoadSource) async throws -> LoadReport {
        let clock = SystemClock()
        let start = clock.monotonicNanos
        let cpu = ProcessUsage.ownCPUSeconds
        var report = try await withThrowingTaskGroup(of: LoadReport.self) { group in
            for lane in 0..<lanes {
                group.addTask { try await run(source, lane: lane, since: start) }
            }
            var sum = LoadReport()
            for try await part in group { sum.add(part) }
            return sum
        }
        report.seconds = Double(clock.monotonicNanos - start) / 1e9
        report.clientCPUSeconds = ProcessUsage.ownCPUSeconds - cpu
        return report
    }

    private func run(
        _ source: any LoadSource, lane: Int, since start: Int64
    ) async throws -> LoadReport {
        let clock = SystemClock()
        var report = LoadReport()
        for batch in 0..<source.batchCount
        where source.lane(ofBatch: batch, lanes: lanes) == lane {
            try Task.checkCancellation()
            let request = try source.request(batch)
            try await send(request, batch, &report)
            if let rate {
                // Every lane keeps to its share.
                let due = Double(report.acknowledged * lanes) / rate
                try await clock.sleep(untilMonotonicNanos: start + Int64(due * 1e9))
            }
        }
        return report
    }

    private func send(
        _ request: LoadRequest, _ batch: Int, _ report: inout LoadReport
    ) async throws {
        for _ in 0..<patience {
            let answer = try await client.post(
                request.path, headers: request.headers, body: request.body)
            report.requests += 1
            if answer.status == 429 || answer.status == 503 {
                report.delayed += 1
                let seconds = answer.headers.first(name: "Retry-After").flatMap(Double.init) ?? 1
                try await SystemClock().sleep(seconds: min(seconds, 30))
                continue
            }
            // An OTLP answer with content names what was refused.
            guard answer.isSuccess, answer.body.isEmpty else {
                throw LabError("batch \(batch) was answered \(answer.status): \(answer.text)")
            }
            report.acknowledged += request.items
            report.bodyBytes += request.body.count
            report.dataBytes += request.dataBytes
            return
        }
        throw LabError("batch \(batch) was put off \(patience) times: the server takes no data")
    }
}
