// SPDX-License-Identifier: Apache-2.0
// What discovery counts about itself.

import Base
import Synchronization

/// A family of numbers about discovery. Names are upstream's.
package enum DiscoveryFamily: String, Sendable, CaseIterable {
    case discoveredTargets = "prometheus_sd_discovered_targets"
    case lastUpdate = "prometheus_sd_last_update_timestamp_seconds"
    case receivedUpdates = "prometheus_sd_received_updates_total"
    case sentUpdates = "prometheus_sd_updates_total"
    case refreshFailures = "prometheus_sd_refresh_failures_total"
    case refreshSeconds = "prometheus_sd_refresh_duration_seconds_sum"
    case refreshes = "prometheus_sd_refresh_duration_seconds_count"
    case httpFailures = "prometheus_sd_http_failures_total"
    case dnsLookups = "prometheus_sd_dns_lookups_total"
    case dnsLookupFailures = "prometheus_sd_dns_lookup_failures_total"
    case fileReadErrors = "prometheus_sd_file_read_errors_total"
    case fileTimes = "prometheus_sd_file_mtime_seconds"
    case kubernetesEvents = "prometheus_sd_kubernetes_events_total"
    case kubernetesFailures = "prometheus_sd_kubernetes_failures_total"
    case consulFailures = "prometheus_sd_consul_rpc_failures_total"

    package var isCounter: Bool {
        switch self {
        case .discoveredTargets, .lastUpdate, .fileTimes: false
        default: true
        }
    }

    package var help: String {
        switch self {
        case .discoveredTargets: "Targets discovered now, before relabelling."
        case .lastUpdate: "When a set of targets was last handed on."
        case .receivedUpdates: "Updates that discoveries delivered."
        case .sentUpdates: "Updates handed on to the users of targets."
        case .refreshFailures: "Refreshes that failed; the targets found before stay."
        case .refreshSeconds: "Seconds spent on refreshes."
        case .refreshes: "Refreshes done."
        case .httpFailures: "Refreshes by HTTP that failed."
        case .dnsLookups: "Look-ups of names."
        case .dnsLookupFailures: "Look-ups that no server answered."
        case .fileReadErrors: "Target files that could not be read."
        case .fileTimes: "When a target file was last changed."
        case .kubernetesEvents: "Objects that came, changed and went."
        case .kubernetesFailures: "Lists and watches that failed."
        case .consulFailures: "Requests to Consul that failed."
        }
    }
}

/// Numbers by family and labels. Labels are kinds, names of jobs and files: their number is that of
/// the configuration's entries.
package final class DiscoveryMetrics: Sendable {
    private struct Key: Hashable {
        var family: DiscoveryFamily
        var labels: [NamedText]
    }

    private let values = Mutex<[Key: Double]>([:])

    package init() {}

    func add(_ family: DiscoveryFamily, _ labels: [NamedText] = [], _ amount: Double = 1) {
        values.withLock { $0[Key(family: family, labels: labels), default: 0] += amount }
    }

    func set(_ family: DiscoveryFamily, _ labels: [NamedText], _ value: Double) {
        values.withLock { $0[Key(family: family, labels: labels)] = value }
    }

    func remove(_ family: DiscoveryFamily, _ labels: [NamedText]) {
        values.withLock { $0[Key(family: family, labels: labels)] = nil }
    }

    package func value(_ family: DiscoveryFamily, _ labels: [NamedText] = []) -> Double {
        values.withLock { $0[Key(family: family, labels: labels)] ?? 0 }
    }

    /// Everything, in no order.
    package var all: [(family: DiscoveryFamily, labels: [NamedText], value: Double)] {
        values.withLock { $0 }.map { ($0.key.family, $0.key.labels, $0.value) }
    }
}
