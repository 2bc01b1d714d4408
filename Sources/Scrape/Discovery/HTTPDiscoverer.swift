// SPDX-License-Identifier: Apache-2.0
// Targets from an HTTP endpoint. Source: prometheus/prometheus `discovery/http/http.go` and
// `docs/http_sd.md`.

import Base

struct HTTPDiscoverer: RefreshingDiscoverer {
    let settings: HTTPDiscoverySettings
    let client: ClientOptions
    var refreshSeconds: Double { settings.refreshSeconds }

    init(_ settings: HTTPDiscoverySettings, _ client: ClientOptions) {
        self.settings = settings
        self.client = client
    }

    func refresh(_ delivery: DiscoveryDelivery) async throws -> [TargetGroup] {
        do { return try await ask(delivery.environment) } catch {
            if !Task.isCancelled { delivery.environment.metrics.add(.httpFailures) }
            throw error
        }
    }

    private func ask(_ environment: DiscoveryEnvironment) async throws -> [TargetGroup] {
        var request = DiscoveryRequest(
            url: settings.url, timeoutSeconds: settings.refreshSeconds, client: client)
        request.headers = [
            NamedText("User-Agent", environment.userAgent),
            NamedText("Accept", "application/json"),
            NamedText(
                "X-Prometheus-Refresh-Interval-Seconds", floatPlainText(settings.refreshSeconds)),
        ]
        let answer = try await environment.fetcher.fetch(request)
        guard answer.status == 200 else {
            throw DiscoveryError("server returned HTTP status \(answer.statusText)")
        }
        let type = answer.header("Content-Type")
        guard isJSON(type) else {
            throw DiscoveryError("unsupported content type \(quotedText(type))")
        }
        return try targetGroups(
            answer.body, source: settings.url, label: NamedText("__meta_url", settings.url))
    }

    /// `application/json`, with no parameter but a charset of UTF-8.
    private func isJSON(_ type: String) -> Bool {
        let text = type.lowercased().filter { $0 != " " && $0 != "\t" }
        return text == "application/json" || text == "application/json;charset=utf-8"
            || text == "application/json;charset=\"utf-8\""
    }
}
