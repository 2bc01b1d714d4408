// SPDX-License-Identifier: Apache-2.0
// The configuration file: what Prometheus accepts, plus our sections.

import Base
import Ingest
import Scrape
import Telemetry
import Yams

/// A loaded configuration. Immutable; a reload makes a new one and swaps it whole.
package struct Configuration: Sendable {
    package var scrapes: [ScrapeConfiguration] = []
    package var externalLabels: [(name: String, value: String)] = []
    package var storage = StorageSection()
    /// Notes for the operator: accepted, but without effect, and why.
    package var notes: [String] = []
    /// The text it was read from, for `status/config`.
    package var text = ""

    /// Our section `storage`, Prometheus' `storage.tsdb` included.
    package struct StorageSection: Sendable, Equatable {
        package var retentionSeconds: Double?
        package var retentionBytes: Int?
    }

    package init() {}

    /// What the server runs without a file: scrape itself.
    package static func embedded(address: String) -> Configuration {
        var configuration = Configuration()
        var job = ScrapeConfiguration(jobName: "tern")
        job.intervalSeconds = 15
        job.groups = [TargetGroup(targets: [address])]
        // Who starts a server and asks it something shall have an answer.
        job.scrapesOnStart = true
        configuration.scrapes = [job]
        configuration.text =
            "scrape_configs:\n  - job_name: tern\n    scrape_interval: 15s\n"
            + "    static_configs:\n      - targets: [\"\(address)\"]\n"
        return configuration
    }

    /// Parses a file's text.
    ///
    /// - Parameter directory: folder that relative file names are taken from.
    /// - Throws: `ConfigurationError` with line and remedy; nothing is half applied.
    package static func parse(_ text: String, in directory: String = "") throws -> Configuration {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw ConfigurationError("not valid YAML: \(error)")
        }
        var configuration = Configuration()
        configuration.text = text
        guard let root, root.null == nil else { return configuration }
        var top = try YAMLSection(root, "the configuration")
        let global = try Global(&top, &configuration)
        for section in try top.sections("scrape_configs") {
            configuration.scrapes.append(try scrape(section, global, in: directory))
        }
        var names: Set<String> = []
        for scrape in configuration.scrapes where !names.insert(scrape.jobName).inserted {
            throw ConfigurationError(
                "found multiple scrape configs with job name \"\(scrape.jobName)\"")
        }
        try top.refuse(
            ["rule_files"],
            "this version does not evaluate rules; keep them in Prometheus and remove the key here")
        if top.take("alerting") != nil {
            configuration.notes.append(
                "alerting: nothing is sent, since this version evaluates no rules")
        }
        try top.refuse(
            ["remote_write", "remote_read"], "this version receives remote write only")
        try top.refuse(["scrape_config_files"], "list the jobs under scrape_configs")
        try top.refuse(
            ["tracing", "otlp", "runtime"], "the built-in defaults apply; remove the key")
        if var storage = try top.section("storage") {
            try configuration.storage.read(&storage)
        }
        try top.finish()
        return configuration
    }
}

/// `global`, with Prometheus' defaults.
private struct Global {
    var intervalSeconds = 60.0
    var timeoutSeconds = 10.0
    var labelLimit = 0
    var labelNameLengthLimit = 0
    var labelValueLengthLimit = 0
    var sampleLimit = 0
    var targetLimit = 0
    var bodySizeLimitBytes = 0
    var keepDroppedTargets = 0
    var extraScrapeMetrics = false
    var protocols = ScrapeProtocol.allCases

    init(
        _ top: inout YAMLSection, _ configuration: inout Configuration
    ) throws(ConfigurationError) {
        guard var section = try top.section("global") else { return }
        intervalSeconds = try section.duration("scrape_interval") ?? intervalSeconds
        let timeout = try section.duration("scrape_timeout")
        timeoutSeconds = timeout ?? min(timeoutSeconds, intervalSeconds)
        guard timeoutSeconds <= intervalSeconds else {
            throw section.failure("global scrape timeout greater than scrape interval")
        }
        configuration.externalLabels = try section.pairs("external_labels") ?? []
        if !configuration.externalLabels.isEmpty {
            configuration.notes.append(
                "external_labels: without effect, since this version sends nothing to others")
        }
        labelLimit = try section.int("label_limit") ?? 0
        labelNameLengthLimit = try section.int("label_name_length_limit") ?? 0
        labelValueLengthLimit = try section.int("label_value_length_limit") ?? 0
        sampleLimit = try section.int("sample_limit") ?? 0
        targetLimit = try section.int("target_limit") ?? 0
        bodySizeLimitBytes = try section.byteSize("body_size_limit") ?? 0
        // Rules are not evaluated, so their interval has nothing to time.
        _ = try section.duration("evaluation_interval")
        _ = try section.duration("rule_query_offset")
        try section.refuse(
            ["query_log_file", "scrape_failure_log_file"], "the server's log has both")
        try section.refuse(
            [
                "metric_name_validation_scheme", "metric_name_escaping_scheme",
            ], "the built-in defaults apply; remove the key")
        try refuseTrue(&section)
        keepDroppedTargets = try section.int("keep_dropped_targets") ?? 0
        extraScrapeMetrics = try section.bool("extra_scrape_metrics") ?? false
        self.protocols = try scrapeProtocols(&section) ?? self.protocols
        try section.finish()
    }
}

extension Configuration.StorageSection {
    fileprivate mutating func read(_ section: inout YAMLSection) throws(ConfigurationError) {
        if var tsdb = try section.section("tsdb") {
            try tsdb.refuse(
                ["out_of_order_time_window"],
                "samples of any age inside retention are accepted; remove the key")
            if var retention = try tsdb.section("retention") {
                retentionSeconds = try retention.duration("time")
                retentionBytes = try retention.byteSize("size")
                try retention.finish()
            }
            try tsdb.finish()
        }
        try section.refuse(["exemplars"], "exemplars are always kept; remove the key")
        try section.finish()
    }
}

private func scrape(
    _ section: YAMLSection, _ global: Global, in directory: String
) throws(ConfigurationError) -> ScrapeConfiguration {
    var section = section
    guard let name = try section.string("job_name"), !name.isEmpty else {
        throw section.failure("job_name is empty")
    }
    var job = ScrapeConfiguration(jobName: name)
    let interval = try section.duration("scrape_interval")
    job.intervalSeconds = interval ?? global.intervalSeconds
    let timeout = try section.duration("scrape_timeout")
    job.timeoutSeconds = timeout ?? min(global.timeoutSeconds, job.intervalSeconds)
    guard job.intervalSeconds > 0, job.timeoutSeconds <= job.intervalSeconds else {
        throw section.failure(
            "scrape timeout greater than scrape interval for scrape config with job name "
                + "\"\(name)\"")
    }
    job.scheme = try section.string("scheme") ?? "http"
    guard job.scheme == "http" || job.scheme == "https" else {
        throw section.failure("scheme must be http or https in job \"\(name)\"")
    }
    job.metricsPath = try section.string("metrics_path") ?? "/metrics"
    job.honorLabels = try section.bool("honor_labels") ?? false
    job.honorTimestamps = try section.bool("honor_timestamps") ?? true
    job.trackTimestampsStaleness = try section.bool("track_timestamps_staleness") ?? false
    job.sampleLimit = try section.int("sample_limit") ?? global.sampleLimit
    job.labelLimit = try section.int("label_limit") ?? global.labelLimit
    job.labelNameLengthLimit =
        try section.int("label_name_length_limit") ?? global.labelNameLengthLimit
    job.labelValueLengthLimit =
        try section.int("label_value_length_limit") ?? global.labelValueLengthLimit
    job.targetLimit = try section.int("target_limit") ?? global.targetLimit
    job.bodySizeLimitBytes = try section.byteSize("body_size_limit") ?? global.bodySizeLimitBytes
    job.keepDroppedTargets = try section.int("keep_dropped_targets") ?? global.keepDroppedTargets
    job.extraScrapeMetrics = try section.bool("extra_scrape_metrics") ?? global.extraScrapeMetrics
    job.enableCompression = try section.bool("enable_compression") ?? true
    job.protocols = try scrapeProtocols(&section) ?? global.protocols
    if let name = try section.string("fallback_scrape_protocol") {
        job.fallbackProtocol = try scrapeProtocol(name, section)
    }
    try refuseTrue(&section)
    job.client = try section.httpClient(in: directory).options
    if let params = section.take("params") {
        guard let mapping = params.mapping else {
            throw section.failure("params must be a mapping", params)
        }
        for (key, values) in mapping {
            let texts = values.sequence?.compactMap { $0.scalar?.string }
            guard let name = key.string, let texts, texts.count == values.sequence?.count else {
                throw section.failure("params must map names to lists of texts", values)
            }
            job.parameters.append(.init(name, texts))
        }
    }
    job.relabelRules = try relabelRules(&section, "relabel_configs")
    job.metricRelabelRules = try relabelRules(&section, "metric_relabel_configs")
    for group in try section.sections("static_configs") {
        var group = group
        let targets = try group.strings("targets") ?? []
        for target in targets where target.contains("/") {
            throw group.failure("\"\(target)\" is not a valid hostname")
        }
        let labels = try group.pairs("labels") ?? []
        job.groups.append(
            TargetGroup(targets: targets, labels: labels.map { NamedText($0.name, $0.value) }))
        try group.finish()
    }
    try refuseUnsupported(&section)
    try section.finish()
    return job
}

/// Everything Prometheus' `scrape_config` has beyond what is read above.
private func refuseUnsupported(_ section: inout YAMLSection) throws(ConfigurationError) {
    let discoveries = [
        "file", "http", "dns", "kubernetes", "consul", "docker", "dockerswarm", "ec2", "azure",
        "gce", "digitalocean", "eureka", "hetzner", "ionos", "kuma", "lightsail", "linode",
        "marathon", "nerve", "nomad", "openstack", "ovhcloud", "puppetdb", "scaleway",
        "serverset", "triton", "uyuni", "vultr", "stackit", "outscale", "aws",
    ].map { $0 + "_sd_configs" }
    try section.refuse(discoveries, "this version discovers by static_configs only")
    try section.refuse(
        [
            "native_histogram_bucket_limit", "native_histogram_min_bucket_factor",
            "metric_name_validation_scheme", "metric_name_escaping_scheme",
            "scrape_failure_log_file",
        ], "the built-in defaults apply; remove the key")
}

private func relabelRules(
    _ section: inout YAMLSection, _ key: String
) throws(ConfigurationError) -> [RelabelRule] {
    var rules: [RelabelRule] = []
    for entry in try section.sections(key) {
        var entry = entry
        var rule = RelabelRule.Definition()
        rule.sourceLabels = try entry.strings("source_labels") ?? []
        rule.separator = try entry.string("separator") ?? rule.separator
        rule.regex = try entry.string("regex") ?? rule.regex
        rule.modulus = UInt64(try entry.int("modulus") ?? 0)
        rule.targetLabel = try entry.string("target_label") ?? ""
        rule.replacement = try entry.string("replacement") ?? rule.replacement
        rule.action = try entry.string("action") ?? rule.action
        try entry.finish()
        do throws(RelabelError) {
            rules.append(try RelabelRule(rule))
        } catch { throw entry.failure(error.description) }
    }
    return rules
}
