// SPDX-License-Identifier: Apache-2.0
// Who receives alerts.

import Ingest
import Telemetry

/// Sends a request; sockets are somebody else's.
package protocol AlertPosting: Sendable {
    /// Posts JSON and returns the status of the answer.
    ///
    /// - Throws: when there is no answer in time; its description tells why.
    func post(_ body: [UInt8], to url: String, timeoutSeconds: Double) async throws -> Int
}

/// The Alertmanagers of one entry of `alerting.alertmanagers`, as discovered last.
package struct AlertmanagerSet: Sendable {
    package var posting: any AlertPosting
    package var timeoutSeconds = 10.0
    /// Applied to alerts for this set only.
    package var alertRelabelRules: [RelabelRule] = []
    /// URLs to post to, without repetition.
    package var active: [String] = []
    /// URLs of those that relabelling dropped.
    package var dropped: [String] = []

    package init(posting: any AlertPosting) { self.posting = posting }
}

/// Turns discovered targets into URLs. Source: prometheus/prometheus `notifier/alertmanager.go`.
package struct AlertmanagerTargets: Sendable {
    package var scheme = "http"
    package var pathPrefix = ""
    package var relabelRules: [RelabelRule] = []

    package init() {}

    /// - Parameter labels: of the target, `__address__` among them.
    /// - Returns: nil when relabelling leaves no address, or a URL in its place.
    package func url(_ labels: [RuleText]) -> (url: String, isDropped: Bool)? {
        var builder = LabelsBuilder()
        for label in labels { builder.set(label.name, label.value) }
        if builder["__scheme__"] == nil { builder.set("__scheme__", scheme) }
        builder.set("__alerts_path__", path)
        let before = builder.labels()
        guard let after = relabel(before, relabelRules) else {
            return (Self.url(of: before), true)
        }
        guard let address = after["__address__"], !address.isEmpty, !address.contains("/") else {
            return nil
        }
        return (Self.url(of: after), false)
    }

    private static func url(of labels: Labels) -> String {
        let path = labels["__alerts_path__"] ?? ""
        return (labels["__scheme__"] ?? "http") + "://" + (labels["__address__"] ?? "")
            + (path.hasPrefix("/") ? path : "/" + path)
    }

    /// The prefix with the API's path, without empty parts.
    private var path: String {
        let parts = (pathPrefix + "/api/v2/alerts").split(separator: "/")
        return "/" + parts.joined(separator: "/")
    }
}
