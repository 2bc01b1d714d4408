// SPDX-License-Identifier: Apache-2.0
// Whether a second server was sent everything.

import Base
import TestKit

/// Waits for the queue to the second server and compares what has arrived.
struct ForwardCheck: Sendable {
    let run: CrashRun
    /// The server that forwards, and the one that receives.
    let sender: LabClient
    let receiver: LabClient
    private static let prefix = "prometheus_remote_storage_samples_"

    /// - Returns: what is wrong with the samples that have arrived.
    func check() async throws -> (machines: CrashFindings, fates: [FateVerdict]) {
        try await waitUntilSent()
        var findings = CrashFindings()
        let all = 0..<run.ledger(.metrics).end
        try await CrashCheck(run: run, client: receiver).checkMetrics(all, &findings)
        let fates = try await FateCheck(run: run.fates, client: receiver)
            .check(isRaw: true) { findings.note($0) }
        return (findings, fates)
    }

    private func waitUntilSent() async throws {
        let clock = SystemClock()
        let deadline = clock.monotonicNanos + 120_000_000_000
        while true {
            let page = try await TernMetrics(client: sender).page()
            func sum(_ name: String) throws -> Double {
                let found = page.filter { $0.key.hasPrefix(Self.prefix + name + "{") }
                guard !found.isEmpty else { throw LabError("/metrics has no \(name)") }
                return found.values.reduce(0, +)
            }
            let dropped = try sum("dropped_total") + sum("failed_total")
            guard dropped == 0 else { throw LabError("\(dropped) samples were not forwarded") }
            if try sum("pending") == 0 { return }
            guard clock.monotonicNanos < deadline else {
                throw LabError("\(try sum("pending")) samples wait for two minutes to be forwarded")
            }
            try await clock.sleep(seconds: 0.2)
        }
    }
}
