// SPDX-License-Identifier: Apache-2.0
// Routes of Prometheus' API beside queries and names.

import HTTPTypes

func prometheusRoutes(
    _ core: Core, _ scraping: Scraping, _ admin: AdminEndpoints, _ status: StatusEndpoints
) -> [Route] {
    let service = core.queries
    let both: [HTTPRequest.Method] = [.get, .post]
    let externals: @Sendable () -> [(name: String, value: String)] = {
        scraping.configuration.externalLabels
    }
    let features = FeaturesEndpoint(
        features: service.limits.features, isAdminEnabled: core.settings.enableAdminAPI,
        isLifecycleEnabled: scraping.isLifecycleEnabled)
    let search = SearchEndpoints(service: service)
    let notifications = Notifications(core: core, scraping: scraping)
    let federation = FederationEndpoint(service: service, externalLabels: externals)
    let reading = RemoteReadEndpoint(service: service, externalLabels: externals)
    let own = SelfMetricsEndpoint(admin: admin)
    let queries = QueryEndpoints(service: service)
    return [
        Route(both, "/api/v1/explain", .prometheus, queries.explain),
        Route(both, "/api/v1/parse_query", .prometheus, queries.parseQuery),
        Route([.get], "/api/v1/features", .prometheus, features.features),
        Route(both, "/api/v1/search/metric_names", .prometheus, search.metricNames),
        Route(both, "/api/v1/search/label_names", .prometheus, search.labelNames),
        Route(both, "/api/v1/search/label_values", .prometheus, search.labelValues),
        Route([.get], "/api/v1/notifications", .prometheus, notifications.list),
        Route([.get], "/api/v1/notifications/live", .prometheus, notifications.live),
        Route([.get], "/api/v1/status/self_metrics", .prometheus, own.metrics),
        Route([.get], "/api/v1/status/tsdb/blocks", .prometheus, status.blocks),
        Route([.post], "/api/v1/read", .plain, bodyLimit: 32 << 20, reading.read),
        Route([.get], "/federate", .plain, federation.federate),
    ]
}
