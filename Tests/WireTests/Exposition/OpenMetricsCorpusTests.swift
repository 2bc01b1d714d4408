// SPDX-License-Identifier: Apache-2.0
// The strict mode against the OpenMetrics project's own cases.

import Base
import TestKit
import Testing

@testable import Wire

@Suite struct OpenMetricsCorpusTests {
    @Test func strictModeAcceptsAndRefusesAsTheSuiteDemands() throws {
        var options = Exposition.Options()
        options.isStrict = true
        var failures: [String] = []
        var cases = 0
        for name in Corpora.names(under: "openmetrics") where name.hasSuffix("/test.json") {
            let folder = "openmetrics/" + name.dropLast("/test.json".count)
            guard let test = Corpora.file(folder + "/test.json"),
                let text = Corpora.file(folder + "/metrics")
            else { continue }
            let shouldParse = try CorpusJSON(parsing: test)["shouldParse"]?.bool
            cases += 1
            do {
                _ = try text.withUnsafeBytes {
                    try Exposition.decode($0, .openMetrics, scrapeMillis: 0, options: options)
                }
                if shouldParse != true { failures.append("\(folder): accepted") }
            } catch {
                if shouldParse != false { failures.append("\(folder): \(error)") }
            }
        }
        if Corpora.folder != nil { #expect(cases == 139) }
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
    }
}
