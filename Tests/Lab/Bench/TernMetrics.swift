// SPDX-License-Identifier: Apache-2.0
// What a Tern server says of itself.

import Base

/// Reads the server's own metrics.
struct TernMetrics: Sendable {
    let client: LabClient

    /// A value by its name and labels as the page has them, rounded down; 0 when it is not there.
    func value(_ name: String) async throws -> Int { Int(try await page()[name] ?? 0) }

    private func page() async throws -> [String: Double] {
        let answer = try await client.get("/metrics")
        var values: [String: Double] = [:]
        for line in String(decoding: answer.body, as: UTF8.self).split(separator: "\n") {
            guard !line.hasPrefix("#"), let space = line.lastIndex(of: " ") else { continue }
            values[String(line[..<space])] = Double(line[line.index(after: space)...])
        }
        return values
    }

    /// Waits until heads are empty and nothing is sealed or merged any more.
    func waitUntilSealed() async throws {
        var calm = 0
        var last = 0.0
        for _ in 0..<240 {
            try await SystemClock().sleep(seconds: 1)
            let page = try await page()
            let now = page["process_cpu_seconds_total"] ?? 0
            calm = page["tern_head_bytes"] == 0 && now - last < 0.05 ? calm + 1 : 0
            last = now
            if calm == 3 { return }
        }
        say("(heads were not empty after four minutes)")
    }
}
