// SPDX-License-Identifier: Apache-2.0
// Our section `limits`.

import Ingest
import Telemetry
import Wire

extension Configuration {
    /// Most tenants with limits of their own.
    private static let maxTenants = 100_000

    mutating func readLimits(_ top: inout YAMLSection) throws(ConfigurationError) {
        guard var section = try top.section("limits") else { return }
        limits.common = try section.limits(over: TenantLimits(), &lineLimits.common)
        if var tenants = try section.section("tenants") {
            let names = tenants.keys
            guard names.count <= Self.maxTenants else {
                throw tenants.failure("limits: at most \(Self.maxTenants) tenants")
            }
            for name in names {
                guard Tenant(name).isValid else {
                    throw tenants.failure("limits: \(name) is no name of a tenant")
                }
                guard var entry = try tenants.section(name) else { continue }
                var lines = lineLimits.common
                limits.byTenant[name] = try entry.limits(over: limits.common, &lines)
                lineLimits.byTenant[name] = lines
                try entry.finish()
            }
            try tenants.finish()
        }
        try section.finish()
    }
}

extension YAMLSection {
    /// The keys of one tenant; those that are absent are as in `common`.
    fileprivate mutating func limits(
        over common: TenantLimits, _ lines: inout LogLimits
    ) throws(ConfigurationError) -> TenantLimits {
        var limits = common
        func key(_ reason: LimitReason) -> String { reason.rawValue }
        limits.maxSeries = try int(key(.maxSeries)) ?? limits.maxSeries
        limits.maxNewSeriesPerHour =
            try int(key(.maxNewSeriesPerHour)) ?? limits.maxNewSeriesPerHour
        limits.maxLabelNames = try int(key(.maxLabelNames)) ?? limits.maxLabelNames
        limits.maxLabelNameBytes = try int(key(.maxLabelNameBytes)) ?? limits.maxLabelNameBytes
        limits.maxLabelValueBytes = try int(key(.maxLabelValueBytes)) ?? limits.maxLabelValueBytes
        limits.maxSamplesPerRequest =
            try int(key(.maxSamplesPerRequest)) ?? limits.maxSamplesPerRequest
        if var logs = try section("logs") {
            try logs.readLogLimits(&limits.logs)
            try logs.readLineLimits(&lines)
            try logs.finish()
        }
        return limits
    }

    /// The keys of `limits.logs`; those that are absent stay as they are.
    private mutating func readLogLimits(
        _ limits: inout LogTenantLimits
    ) throws(ConfigurationError) {
        limits.ingestionRateBytes = try byteSize("ingestion_rate") ?? limits.ingestionRateBytes
        limits.ingestionBurstBytes =
            try byteSize("ingestion_burst_size") ?? limits.ingestionBurstBytes
        limits.perStreamRateBytes =
            try byteSize("per_stream_rate_limit") ?? limits.perStreamRateBytes
        limits.perStreamBurstBytes =
            try byteSize("per_stream_rate_limit_burst") ?? limits.perStreamBurstBytes
        limits.maxStreams = try int("max_streams") ?? limits.maxStreams
        limits.maxEntriesPerQuery =
            try int("max_entries_limit_per_query") ?? limits.maxEntriesPerQuery
        limits.maxQueryTextBytes = try byteSize("max_query_text") ?? limits.maxQueryTextBytes
        limits.maxQueryLengthSeconds =
            try duration("max_query_length") ?? limits.maxQueryLengthSeconds
        limits.maxQueryRangeSeconds =
            try duration("max_query_range") ?? limits.maxQueryRangeSeconds
        limits.maxQueryBytesRead =
            try byteSize("max_query_bytes_read") ?? limits.maxQueryBytesRead
        limits.requiredLabels = try strings("required_labels") ?? limits.requiredLabels
        limits.requiredNumberLabels =
            try int("required_number_labels") ?? limits.requiredNumberLabels
        limits.maxTails = try int("max_concurrent_tail_requests") ?? limits.maxTails
    }
}
