// SPDX-License-Identifier: Apache-2.0
// What lines and streams of a tenant may hold.

import Synchronization
import Telemetry
import Wire

/// The limits of lines and streams by tenant, from `limits.logs` of the configuration. A reload replaces
/// them; requests that are being decoded keep theirs.
final class LogLineLimits: Sendable {
    struct Table: Sendable, Equatable {
        var common = LogLimits()
        var byTenant: [String: LogLimits] = [:]
    }
    private let table: Mutex<Table>

    init(_ table: Table = Table()) { self.table = Mutex(table) }

    func set(_ table: Table) { self.table.withLock { $0 = table } }

    func limits(of tenant: Tenant) -> LogLimits {
        table.withLock { $0.byTenant[tenant.name] ?? $0.common }
    }
}

extension YAMLSection {
    /// Keys of `limits.logs` with the names of Loki's `limits_config`; those that are absent stay as they
    /// are. Source: grafana/loki `pkg/validation/limits.go`.
    ///
    /// - Throws: `ConfigurationError` for a limit above what the formats on disk are made for, which is
    ///   the default.
    mutating func readLineLimits(_ limits: inout LogLimits) throws(ConfigurationError) {
        let most = LogLimits()
        func checked(
            _ key: String, _ value: Int?, _ limit: inout Int, _ most: Int
        ) throws(ConfigurationError) {
            guard let value else { return }
            guard (1...most).contains(value) else {
                throw failure("limits.logs: \(key) must be from 1 to \(most)")
            }
            limit = value
        }
        var key = "max_line_size"
        try checked(key, try byteSize(key), &limits.maxLineBytes, most.maxLineBytes)
        key = "max_label_names_per_series"
        try checked(key, try int(key), &limits.maxLabelNames, most.maxLabelNames)
        key = "max_label_name_length"
        try checked(key, try int(key), &limits.maxLabelNameBytes, most.maxLabelNameBytes)
        key = "max_label_value_length"
        try checked(key, try int(key), &limits.maxLabelValueBytes, most.maxLabelValueBytes)
        key = "max_structured_metadata_size"
        try checked(key, try byteSize(key), &limits.maxMetadataBytes, most.maxMetadataBytes)
        key = "max_structured_metadata_entries_count"
        try checked(key, try int(key), &limits.maxMetadataCount, most.maxMetadataCount)
    }
}
