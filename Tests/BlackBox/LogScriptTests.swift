// SPDX-License-Identifier: Apache-2.0
// The public LogQL scripts over push and the HTTP API.

import FoundationEssentials
import LogQLScripts
import TestKit
import Testing

@Suite struct LogScriptTests {
    /// Evaluations of all scripts together.
    private static let evaluations = 692

    /// Every evaluation of every script, asked of the real binary.
    @Test(.enabled(if: Corpora.folder != nil)) func everyScriptPassesOverHTTP() async throws {
        try await withTemporaryDirectory { folder in
            // The scripts count series by all they have, so nothing may be added to lines.
            let configuration = folder + "/tern.yml"
            try Data("logs:\n  discover_service_name: []\n  discover_log_levels: false\n".utf8)
                .write(to: URL(filePath: configuration))
            let server = try await ServerProcess.start(
                folder + "/data", in: folder,
                flags: [
                    "--tenancy", "header", "--storage.retention.time", "100y", "--config.file",
                    configuration,
                ])
            let port = server.port
            let (passed, failures) = try await onThread {
                var passed = 0
                var failures: [String] = []
                for name in Corpora.names(under: "logql") where name.hasSuffix(".logqltest") {
                    guard let bytes = Corpora.file("logql/" + name) else { continue }
                    var runner = LogScriptRunner(
                        HTTPLogTarget(
                            port: port, name: String(name.prefix { $0 != "." })))
                    try runner.run(try LogScript(String(decoding: bytes, as: UTF8.self)))
                    passed += runner.passed
                    failures += runner.failures.map { name + " " + $0 }
                }
                return (passed, failures)
            }
            print("LogQL scripts over HTTP: \(passed) of \(passed + failures.count)")
            #expect(failures.isEmpty, "\(failures.prefix(5).joined(separator: "\n"))")
            #expect(passed == Self.evaluations)
            #expect(try await server.stop().code == 0)
        }
    }
}
