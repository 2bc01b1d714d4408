// SPDX-License-Identifier: Apache-2.0
// The system's resolver configuration. Source: resolv.conf(5), and Go's miekg/dns `clientconfig.go`
// for the order in which names are tried.

import Base

/// What `/etc/resolv.conf` says.
struct ResolverConfiguration: Sendable, Equatable {
    var servers: [DNSServer] = []
    var search: [String] = []
    /// A name with fewer dots is tried under the search domains first.
    var dots = 1
    var timeoutSeconds = 5.0
    var attempts = 2

    /// Lines that say nothing we know are left out. Without a server, the machine's own is asked.
    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" && $0 != ";" }
                .split(whereSeparator: \.isWhitespace).map(String.init)
            guard let keyword = words.first, words.count > 1 else { continue }
            switch keyword {
            case "nameserver": servers.append(DNSServer(host: words[1]))
            case "domain": search = [words[1]]
            case "search": search = Array(words.dropFirst())
            case "options": for option in words.dropFirst() { read(option) }
            default: break
            }
        }
        if servers.isEmpty { servers = [DNSServer(host: "127.0.0.1")] }
        servers = Array(servers.prefix(16))
        search = Array(search.prefix(32))
    }

    private mutating func read(_ option: String) {
        let parts = option.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let value = Int(parts[1]), value >= 0 else { return }
        switch parts[0] {
        case "ndots": dots = min(value, 15)
        case "timeout": timeoutSeconds = Double(max(1, min(value, 30)))
        case "attempts": attempts = max(1, min(value, 5))
        default: break
        }
    }

    /// The names that a name may stand for, in the order to try them; each ends in a dot.
    func candidates(_ name: String) -> [String] {
        if name.hasSuffix(".") { return [name] }
        let asItIs = name + "."
        let below = search.map { domain in
            name + "." + (domain.hasSuffix(".") ? domain : domain + ".")
        }
        let isPlain = name.utf8.count { $0 == UInt8(ascii: ".") } < dots
        return isPlain ? below + [asItIs] : [asItIs] + below
    }
}
