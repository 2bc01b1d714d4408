// SPDX-License-Identifier: Apache-2.0
// Where alerts are sent to.

import Base
import Ingest
import Scrape

/// The section `alerting`. Source: prometheus/prometheus `config/config.go`, `AlertingConfig`.
package struct AlertingSettings: Sendable, Equatable {
    /// Rules for the labels of all alerts.
    package var relabelRules: [RelabelRule] = []
    package var alertmanagers: [AlertmanagerSettings] = []

    package init() {}
}

/// One entry of `alertmanagers`.
package struct AlertmanagerSettings: Sendable, Equatable {
    package var scheme = "http"
    package var pathPrefix = "/"
    package var timeoutSeconds = 10.0
    /// Which Alertmanagers there are: those listed here and those that are discovered.
    package var groups: [TargetGroup] = []
    package var discoveries: [DiscoveryConfiguration] = []
    /// Rules for their addresses.
    package var relabelRules: [RelabelRule] = []
    /// Rules for the labels of alerts sent to them, after those for all.
    package var alertRelabelRules: [RelabelRule] = []
    package var client = HTTPClientSettings()

    package init() {}
}

extension AlertingSettings {
    init(
        _ section: inout YAMLSection, _ context: inout ConfigurationContext
    )
        throws(ConfigurationError)
    {
        relabelRules = try section.relabelRules(
            "alert_relabel_configs", context.names, ifNull: "empty or null alert relabeling rule")
        for entry in try section.sections("alertmanagers") {
            alertmanagers.append(try AlertmanagerSettings(entry, &context))
        }
        try section.finish()
    }
}

extension AlertmanagerSettings {
    fileprivate init(
        _ section: YAMLSection, _ context: inout ConfigurationContext
    )
        throws(ConfigurationError)
    {
        var section = section
        scheme = try section.string("scheme")?.lowercased() ?? scheme
        guard scheme == "http" || scheme == "https" else {
            throw section.failure("scheme of an Alertmanager must be http or https")
        }
        pathPrefix = try section.string("path_prefix") ?? pathPrefix
        timeoutSeconds = try section.duration("timeout") ?? timeoutSeconds
        if let version = try section.string("api_version"), version != "v2" {
            throw section.failure(
                "expected Alertmanager api version to be one of [v2] but got \(version)")
        }
        relabelRules = try section.relabelRules(
            "relabel_configs", context.names,
            ifNull: "empty or null Alertmanager target relabeling rule")
        alertRelabelRules = try section.relabelRules(
            "alert_relabel_configs", context.names,
            ifNull: "empty or null Alertmanager alert relabeling rule")
        try section.refuseClouds(["sigv4"])
        groups = try section.staticGroups(areRelabelled: !relabelRules.isEmpty)
        discoveries = try section.discoveries(in: context.directory)
        try section.otherDiscoveries("alertmanagers", &context)
        client = try section.httpClient(in: context.directory)
        try section.finish()
    }
}
