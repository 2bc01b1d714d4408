// SPDX-License-Identifier: Apache-2.0
// What an outgoing request authenticates with and how it travels.

import Scrape

/// A `<http_config>`: basic authentication, tokens, TLS, proxies, headers.
///
/// A pure value: equal settings share connections. Secrets in files are read when they are used, so
/// that rotating them needs no reload.
///
/// Source: prometheus/common `config/http_config.go`.
package struct HTTPClientSettings: Hashable, Sendable {
    package struct BasicAuthentication: Hashable, Sendable {
        package var user: TextSource?
        package var password: TextSource?
        package init(user: TextSource?, password: TextSource?) {
            self.user = user
            self.password = password
        }
    }

    package struct Authorization: Hashable, Sendable {
        package var type: String
        package var credentials: TextSource?
        package init(type: String = "Bearer", credentials: TextSource?) {
            self.type = type
            self.credentials = credentials
        }
    }

    /// At most one of them.
    package enum Authentication: Hashable, Sendable {
        case none
        case basic(BasicAuthentication)
        case authorization(Authorization)
        case oauth2(OAuth2Settings)
    }

    /// One name of `http_headers`; each value becomes a header of its own.
    package struct Header: Hashable, Sendable {
        package var name: String
        package var values: [TextSource]
        package init(name: String, values: [TextSource]) {
            self.name = name
            self.values = values
        }
    }

    package var authentication = Authentication.none
    package var tls = TLSSettings()
    package var proxy = ProxySettings()
    package var followRedirects = true
    package var enableHTTP2 = true
    /// By name.
    package var headers: [Header] = []

    package init() {}

    /// Headers that nobody may set by `http_headers`.
    static let reservedHeaders: Set = [
        "accept-encoding", "authorization", "connection", "content-encoding", "content-length",
        "content-type", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "user-agent", "www-authenticate", "x-amz-content-sha256", "x-amz-date",
        "x-amz-security-token", "x-prometheus-remote-read-version",
        "x-prometheus-remote-write-version", "x-prometheus-scrape-timeout-seconds",
    ]

    /// The same with relative file names taken from a folder.
    package func resolved(in directory: String) -> HTTPClientSettings {
        var copy = self
        switch authentication {
        case .none: break
        case .basic(var basic):
            basic.user = basic.user?.resolved(in: directory)
            basic.password = basic.password?.resolved(in: directory)
            copy.authentication = .basic(basic)
        case .authorization(var authorization):
            authorization.credentials = authorization.credentials?.resolved(in: directory)
            copy.authentication = .authorization(authorization)
        case .oauth2(var oauth2):
            oauth2.clientSecret = oauth2.clientSecret?.resolved(in: directory)
            oauth2.tls = oauth2.tls.resolved(in: directory)
            copy.authentication = .oauth2(oauth2)
        }
        copy.tls = tls.resolved(in: directory)
        for index in copy.headers.indices {
            copy.headers[index].values = headers[index].values.map { $0.resolved(in: directory) }
        }
        return copy
    }
}

/// The client-credentials flow of OAuth 2.0 (RFC 6749 section 4.4).
package struct OAuth2Settings: Hashable, Sendable {
    package var clientID = ""
    package var clientSecret: TextSource?
    package var tokenURL = ""
    package var scopes: [String] = []
    /// Further fields of the token request, by name.
    package var endpointParameters: [NamedText] = []
    /// How the token is fetched.
    package var tls = TLSSettings()
    package var proxy = ProxySettings()

    package init() {}

    /// Settings of the client that fetches the token.
    var tokenClient: HTTPClientSettings {
        var settings = HTTPClientSettings()
        settings.tls = tls
        settings.proxy = proxy
        return settings
    }
}

extension HTTPClientSettings {
    /// Settings that a job or a discovery carries through `Scrape`, which does not look inside.
    package init(_ options: ClientOptions) {
        self = options.value as? HTTPClientSettings ?? HTTPClientSettings()
    }

    /// For `Scrape`; settings that say nothing are `.none`.
    package var options: ClientOptions {
        self == HTTPClientSettings() ? .none : ClientOptions(self)
    }
}
