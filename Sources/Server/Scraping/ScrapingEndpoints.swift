// SPDX-License-Identifier: Apache-2.0
// targets, scrape_pools, status/config, status/flags, reload, quit.

import Base
import Glibc
import HTTPTypes
import PromQL
import Scrape
import Telemetry

/// Prometheus' endpoints about scraping and configuration. Source: prometheus/prometheus
/// `web/api/v1/api.go` and `web/web.go`.
struct ScrapingEndpoints: Sendable {
    let scraping: Scraping

    func routes() -> [Route] {
        var routes = [
            Route([.get], "/api/v1/targets", .prometheus, targets),
            Route([.get], "/api/v1/targets/metadata", .prometheus, targetsMetadata),
            Route([.get], "/api/v1/targets/relabel_steps", .prometheus, relabelSteps),
            Route([.get], "/api/v1/scrape_pools", .prometheus, scrapePools),
            Route([.get], "/api/v1/scrape_pools/config", .prometheus, scrapePoolConfiguration),
            Route([.get], "/api/v1/status/config", .prometheus, configuration),
            // Loki's page of the same.
            .open([.get], "/config") { [scraping] _ in
                APIResponse(
                    .ok, contentType: "text/plain; charset=utf-8",
                    body: Array(scraping.configuration.shownText.utf8))
            },
            Route([.get], "/api/v1/status/flags", .prometheus, flags),
            .open([.post, .put], "/-/reload", reload),
            .open([.post, .put], "/-/quit", quit),
        ]
        for path in ["/-/reload", "/-/quit"] {
            routes.append(
                .open([.get], path) { _ in
                    .text("Only POST or PUT requests allowed", status: .methodNotAllowed)
                })
        }
        return routes
    }

    // MARK: targets

    func targets(_ request: APIRequest) async throws -> APIResponse {
        let state = (request.parameter("state") ?? "").lowercased()
        let wantsActive = ["", "any", "active"].contains(state)
        let wantsDropped = ["", "any", "dropped"].contains(state)
        let pool = request.nonEmpty("scrapePool")
        let scraper = scraping.scraper
        let active = wantsActive ? scraper?.activeTargets ?? [] : []
        let dropped = wantsDropped ? scraper?.droppedTargets ?? [] : []
        return prometheusSuccess { json in
            json.beginObject()
            json.key("activeTargets")
            json.beginArray()
            for target in active where pool == nil || pool == target.pool {
                write(target, into: &json)
            }
            json.endArray()
            json.key("droppedTargets")
            json.beginArray()
            for target in dropped where pool == nil || pool == target.pool {
                json.beginObject()
                json.key("discoveredLabels")
                writeLabels(target.discovered, into: &json)
                json.member("scrapePool", target.pool)
                json.endObject()
            }
            json.endArray()
            json.key("droppedTargetCounts")
            if wantsDropped {
                json.beginObject()
                for (name, count) in scraper?.droppedCounts ?? [] { json.member(name, count) }
                json.endObject()
            } else {
                json.null()
            }
            json.endObject()
        }
    }

    private func write(_ active: ActiveTarget, into json: inout JSONWriter) {
        let target = active.target
        let status = active.status
        json.beginObject()
        json.key("discoveredLabels")
        writeLabels(target.discovered, into: &json)
        json.key("labels")
        writeLabels(target.labels, into: &json)
        json.member("scrapePool", active.pool)
        json.member("scrapeUrl", target.url)
        json.member("globalUrl", globalURL(target.url))
        json.member("lastError", status.lastError)
        // Go's zero time stands for a target that was not scraped yet.
        json.member(
            "lastScrape",
            status.lastScrapeNanos == 0
                ? "0001-01-01T00:00:00Z" : rfc3339Text(nanos: status.lastScrapeNanos))
        json.key("lastScrapeDuration")
        var seconds: [UInt8] = []
        appendFloatPlain(status.lastDurationSeconds, into: &seconds)
        json.raw(seconds)
        json.member("health", status.health.rawValue)
        json.member("scrapeInterval", target.intervalText)
        json.member("scrapeTimeout", target.timeoutText)
        json.endObject()
    }

    /// The URL for a browser elsewhere: this machine's name instead of a loop-back address.
    private func globalURL(_ url: String) -> String {
        guard let colon = url.firstIndex(of: ":") else { return url }
        let scheme = url[..<colon] + "://"
        let rest = url.dropFirst(scheme.count)
        for host in ["127.0.0.1", "localhost", "[::1]"] where rest.hasPrefix(host) {
            let tail = rest.dropFirst(host.count)
            guard tail.isEmpty || tail.hasPrefix(":") || tail.hasPrefix("/") else { continue }
            return scheme + localHostName + tail
        }
        return url
    }

    func targetsMetadata(_ request: APIRequest) async throws -> APIResponse {
        var limit = Int.max
        if let text = request.nonEmpty("limit") {
            guard let number = Int(text) else { throw APIError(.badData, "limit must be a number") }
            if number >= 0 { limit = number }
        }
        var matchers: [LabelMatcher] = []
        if let text = request.nonEmpty("match_target") {
            do { matchers = try parseSelector(text) } catch {
                throw APIError(.badData, "invalid parameter \"match_target\": \(error)")
            }
        }
        let family = request.nonEmpty("metric")
        let all = scraping.scraper?.activeTargets ?? []
        let matching = all.filter { active in
            matchers.allSatisfy { $0.matches(active.target.labels[$0.name] ?? "") }
        }
        return prometheusSuccess { json in
            json.beginArray()
            var count = 0
            for active in matching where count < limit {
                for entry in active.metadata where family == nil || family == entry.family {
                    count += 1
                    write(entry, of: active.target, named: family == nil, into: &json)
                }
            }
            json.endArray()
        }
    }

    private func write(
        _ entry: TargetMetadata, of target: Target, named: Bool, into json: inout JSONWriter
    ) {
        json.beginObject()
        json.key("target")
        writeLabels(target.labels, into: &json)
        if named { json.member("metric", entry.family) }
        json.member("type", entry.type.text)
        json.member("help", entry.help)
        json.member("unit", entry.unit)
        json.endObject()
    }

    func scrapePools(_ request: APIRequest) async throws -> APIResponse {
        let names = (scraping.scraper?.poolNames ?? []).sorted()
        return prometheusSuccess { json in
            json.beginObject()
            json.key("scrapePools")
            json.beginArray()
            for name in names { json.string(name) }
            json.endArray()
            json.endObject()
        }
    }

    func scrapePoolConfiguration(_ request: APIRequest) async throws -> APIResponse {
        guard let pool = request.nonEmpty("scrapePool") else {
            throw APIError(.badData, "no scrapePool parameter provided")
        }
        guard let text = scraping.configuration.shownText(ofJob: pool) else {
            throw APIError(
                .badData, "error retrieving scrape config: unknown scrape pool \"\(pool)\"")
        }
        return yaml(text)
    }

    // MARK: configuration

    func configuration(_ request: APIRequest) async throws -> APIResponse {
        yaml(scraping.configuration.shownText)
    }

    private func yaml(_ text: String) -> APIResponse {
        prometheusSuccess { json in
            json.beginObject()
            json.member("yaml", text)
            json.endObject()
        }
    }

    func flags(_ request: APIRequest) async throws -> APIResponse {
        let flags = scraping.flags
        return prometheusSuccess { json in
            json.beginObject()
            for (name, value) in flags.sorted(by: { $0.name < $1.name }) {
                json.member(name, value)
            }
            json.endObject()
        }
    }

    // MARK: life cycle

    private static let disabled = APIResponse.text(
        "Lifecycle API is not enabled.", status: .forbidden)

    func reload(_ request: APIRequest) async throws -> APIResponse {
        guard scraping.isLifecycleEnabled else { return Self.disabled }
        do { try await scraping.reload() } catch {
            return .text("failed to reload config: \(error)\n", status: .internalServerError)
        }
        return .text("")
    }

    func quit(_ request: APIRequest) async throws -> APIResponse {
        guard scraping.isLifecycleEnabled else { return Self.disabled }
        scraping.quit()
        return .text("Requesting termination... Goodbye!")
    }
}

/// Name of this machine.
let localHostName: String = {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}()
