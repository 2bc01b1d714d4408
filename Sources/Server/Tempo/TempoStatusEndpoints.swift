// SPDX-License-Identifier: Apache-2.0
// The pages under /status of a Tempo process.

import Base
import HTTPTypes
import Storage

/// Version, parts and paths of the server as plain text. Source: grafana/tempo `docs/…/api_docs`,
/// "Status".
struct TempoStatusEndpoints: Sendable {
    let core: Core
    /// What the server answers: methods and path.
    let paths: [(methods: [HTTPRequest.Method], path: String)]

    func routes() -> [Route] {
        [
            Route.open([.get], "/status") { _ in .text(version + "\n" + services + "\n" + endpoints)
            },
            Route.open([.get], "/status/version") { _ in .text(version) },
            Route.open([.get], "/status/services") { _ in .text(services) },
            Route.open([.get], "/status/endpoints") { _ in .text(endpoints) },
        ]
    }

    private var version: String { "tern, version \(Base.version)\n" }

    /// One line for each part of the process; a store whose parts have faults says so.
    private var services: String {
        let faults = core.kernel.status.faults.count
        let storage = faults == 0 ? "Running" : "Running, \(faults) faults"
        return ["query-frontend  Running", "ingest          Running", "storage         \(storage)"]
            .joined(separator: "\n") + "\n"
    }

    private var endpoints: String {
        paths.map { entry in
            entry.methods.map(\.rawValue).sorted().joined(separator: ",") + " " + entry.path
        }.sorted().joined(separator: "\n") + "\n"
    }
}
