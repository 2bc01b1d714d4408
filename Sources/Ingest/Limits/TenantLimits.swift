// SPDX-License-Identifier: Apache-2.0
// How many series a tenant may have.

import Telemetry

/// Limits of one tenant; 0 = none. All for series but the last are for series that are new: what is known goes
/// on whatever the limits say.
package struct TenantLimits: Sendable, Equatable {
    /// Series with a sample in the current or the last clock hour.
    package var maxSeries = 0
    /// New series within any hour, counted by the minute.
    package var maxNewSeriesPerHour = 0
    /// Labels of one series, the metric's name included.
    package var maxLabelNames = 0
    package var maxLabelNameBytes = 0
    package var maxLabelValueBytes = 0
    /// Samples, histograms and exemplars of one request or scrape.
    package var maxSamplesPerRequest = 0
    package var logs = LogTenantLimits()

    package init() {}

    /// Whether anything has to be known about series.
    var limitsSeries: Bool {
        maxSeries > 0 || maxNewSeriesPerHour > 0 || maxLabelNames > 0 || maxLabelNameBytes > 0
            || maxLabelValueBytes > 0
    }
}

/// Limits of all tenants.
package struct TenantLimitTable: Sendable, Equatable {
    package var common = TenantLimits()
    package var byTenant: [String: TenantLimits] = [:]

    package init() {}

    package subscript(tenant: Tenant) -> TenantLimits { byTenant[tenant.name] ?? common }
}

/// Why something was left out, by the key of the configuration that says so.
package enum LimitReason: String, Sendable, CaseIterable {
    case maxSeries = "max_series"
    case maxNewSeriesPerHour = "max_new_series_per_hour"
    case maxLabelNames = "max_label_names"
    case maxLabelNameBytes = "max_label_name_bytes"
    case maxLabelValueBytes = "max_label_value_bytes"
    case maxSamplesPerRequest = "max_samples_per_request"

    package func limit(_ limits: TenantLimits) -> Int {
        switch self {
        case .maxSeries: limits.maxSeries
        case .maxNewSeriesPerHour: limits.maxNewSeriesPerHour
        case .maxLabelNames: limits.maxLabelNames
        case .maxLabelNameBytes: limits.maxLabelNameBytes
        case .maxLabelValueBytes: limits.maxLabelValueBytes
        case .maxSamplesPerRequest: limits.maxSamplesPerRequest
        }
    }

    /// What senders are told.
    func text(_ limits: TenantLimits, tenant: Tenant) -> String {
        let limit = self.limit(limits)
        let rule =
            switch self {
            case .maxSeries: "it has \(limit) active series, new ones are refused"
            case .maxNewSeriesPerHour: "it got \(limit) new series within an hour, more are refused"
            case .maxLabelNames: "new series may have \(limit) labels"
            case .maxLabelNameBytes: "label names of new series may have \(limit) bytes"
            case .maxLabelValueBytes: "label values of new series may have \(limit) bytes"
            case .maxSamplesPerRequest: "a request may have \(limit) samples"
            }
        return "limit of tenant \(tenant.name): \(rule) (limits.\(rawValue) in the configuration)"
    }
}
