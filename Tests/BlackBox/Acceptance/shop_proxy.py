# SPDX-License-Identifier: Apache-2.0
# A TCP proxy on loopback that holds every piece back for a while, both ways. How long is told on a second port: seconds in one line.
#
# shop_proxy.py PORT CONTROL-PORT TARGET-PORT

import asyncio
import sys

port, control, target = (int(one) for one in sys.argv[1:4])
delay = 0.0


async def pump(reader, writer):
    try:
        while piece := await reader.read(65536):
            if delay:
                await asyncio.sleep(delay)
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        # The other direction ends by its own reading.
        pass
    finally:
        writer.close()


async def connect(reader, writer):
    try:
        onward, outward = await asyncio.open_connection("127.0.0.1", target)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, outward), pump(onward, writer))


async def tell(reader, writer):
    global delay
    delay = float(await reader.readline())
    writer.write(b"ok\n")
    await writer.drain()
    writer.close()


async def main():
    servers = [await asyncio.start_server(connect, "127.0.0.1", port), await asyncio.start_server(tell, "127.0.0.1", control)]
    await asyncio.gather(*(one.serve_forever() for one in servers))


asyncio.run(main())
