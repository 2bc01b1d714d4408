// SPDX-License-Identifier: Apache-2.0
// Our section `limits`.

import Ingest
import Telemetry

extension Configuration {
    /// Most tenants with limits of their own.
    private static let maxTenants = 100_000

    mutating func readLimits(_ top: inout YAMLSection) throws(ConfigurationError) {
        guard var section = try top.section("limits") else { return }
        limits.common = try section.limits(over: TenantLimits())
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
                limits.byTenant[name] = try entry.limits(over: limits.common)
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
        over common: TenantLimits
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
        return limits
    }
}
