// SPDX-License-Identifier: Apache-2.0
// What a Tern server says of itself.

import Base

/// Reads the server's own metrics.
struct TernMetrics: Sendable {
    let client: LabClient

    /// A value by its name and labels as the page has them, rounded down.
    ///
    /// - Throws: when it is not there: a figure must not become 0 by a change of name.
    func value(_ name: String) async throws -> Int { Int(try find(name, in: try await page())) }

    private func find(_ name: String, in page: [String: Double]) throws -> Double {
        guard let value = page[name] else { throw LabError("/metrics has no \(name)") }
        return value
    }

    func page() async throws -> [String: Double] {
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
            let now = try find("process_cpu_seconds_total", in: page)
            let held = try find("tern_storage_head_bytes", in: page)
            calm = held == 0 && now - last < 0.05 ? calm + 1 : 0
            last = now
            if calm == 3 { return }
        }
        say("(heads were not empty after four minutes)")
    }
}
