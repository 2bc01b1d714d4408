// SPDX-License-Identifier: Apache-2.0
// A scrape configuration, already validated.

import Ingest
import Telemetry

/// Targets that share labels, as `static_configs` and discovery deliver them.
package struct TargetGroup: Sendable {
    /// `host:port` addresses.
    package var targets: [String]
    package var labels: [(name: String, value: String)]
    package init(targets: [String], labels: [(name: String, value: String)] = []) {
        self.targets = targets
        self.labels = labels
    }
}

/// One `scrape_config` with the global defaults filled in. Defaults are Prometheus'.
package struct ScrapeConfiguration: Sendable {
    package var jobName: String
    package var intervalSeconds: Double = 60
    package var timeoutSeconds: Double = 10
    package var scheme = "http"
    package var metricsPath = "/metrics"
    package var parameters: [(name: String, values: [String])] = []
    package var honorLabels = false
    package var honorTimestamps = true
    package var trackTimestampsStaleness = false
    package var followRedirects = true
    /// Value of the `Authorization` header, or empty.
    package var authorization = ""
    package var headers: [(name: String, value: String)] = []
    package var groups: [TargetGroup] = []
    package var relabelRules: [RelabelRule] = []
    package var metricRelabelRules: [RelabelRule] = []
    /// Limits; 0 = none. Each, when exceeded, fails the whole scrape.
    package var sampleLimit = 0
    package var labelLimit = 0
    package var labelNameLengthLimit = 0
    package var labelValueLengthLimit = 0
    package var bodySizeLimitBytes = 0
    package var targetLimit = 0
    package var tenant = Tenant.anonymous

    package init(jobName: String) { self.jobName = jobName }
}
