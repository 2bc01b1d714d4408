// SPDX-License-Identifier: Apache-2.0
// Our section `logs`.

import Base
import Telemetry
import Wire

extension Configuration {
    /// Labels that may name a service.
    private static let maxServiceSources = 100

    /// What is added to lines, by the names of Loki's `limits_config`.
    mutating func readLogs(_ top: inout YAMLSection) throws(ConfigurationError) {
        guard var section = try top.section("logs") else { return }
        if let names = try section.strings("discover_service_name") {
            guard names.count <= Self.maxServiceSources else {
                throw section.failure(
                    "logs: discover_service_name takes at most \(Self.maxServiceSources) labels")
            }
            logs.discoversService = !names.isEmpty
            logs.serviceSources = names.map { SharedBytes(Array($0.utf8)) }
        }
        logs.detectsLevel = try section.bool("discover_log_levels") ?? logs.detectsLevel
        try section.finish()
    }
}
