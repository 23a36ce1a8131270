-- tls.lua - certificates for specs: an authority, a certificate of "localhost" (also 127.0.0.1 and ::1) signed by it, and a
-- second authority. Made once for each run with the openssl command; more are made as specs ask for them.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"

local M = {}

local SCRIPT = [[
set -e
cd '%s'
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=moonwire spec $1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -keyout $1.key -out $1.pem
}
authority authority
authority stranger
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr
cat > server.ext <<END
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
END
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile server.ext \
  -out server.pem
]]

-- Runs a script of the shell, written to a file of that name in the directory.
local function run(directory, name, script)
  local path = directory .. "/" .. name
  local file = assert(io.open(path .. ".sh", "w"))
  file:write(script)
  file:close()
  if not os.execute(("sh '%s.sh' > '%s.log' 2>&1"):format(path, path)) then
    error("openssl failed:\n" .. io.open(path .. ".log"):read "a")
  end
end

---@return {ca: string, cert: string, key: string, stranger: string} files
function M.files()
  local directory = async.shared_directory("tls", function(directory)
    run(directory, "make", SCRIPT:format(directory))
  end)
  return {
    ca = directory .. "/authority.pem",
    cert = directory .. "/server.pem",
    key = directory .. "/server.key",
    stranger = directory .. "/stranger.pem",
  }
end

local ISSUE = [[
set -e
cd '%s'
openssl req -utf8 -newkey %s -nodes -subj '%s' -keyout %s.key -out %s.csr
cat > %s.ext <<END
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=%s
subjectAltName=%s
END
days=%d
dates="-days $days"
# Newer ones make no certificate that ends before it begins, but take both dates.
if [ "$days" -lt 0 ] && openssl x509 -help 2>&1 | grep -q not_after; then
    dates="-not_before 20200101000000Z -not_after 20210101000000Z"
fi
openssl x509 -req -in %s.csr -CA '%s.pem' -CAkey '%s.key' -set_serial %d $dates -extfile %s.ext -out %s.pem
]]

---The certificate in a PEM file, as bytes.
---@param path string
---@return string der
function M.der(path)
  local pipe = assert(io.popen(("openssl x509 -in '%s' -outform DER"):format(path)))
  local bytes = pipe:read "a"
  pipe:close()
  return bytes
end

local serial = 0x5000

---Make a certificate and its key: `<directory>/<name>.pem` and `.key`.
---@param directory string
---@param name string
---@param options? {names: string?, subject: string?, usage: string?, days: integer?, by: string?, key: string?} `names` as in
---  openssl's subjectAltName; `by`: "authority" or "stranger"
---@return {cert: string, key: string, serial: string} pair
function M.issue(directory, name, options)
  options = options or {}
  serial = serial + 1
  local by = M.files().ca:gsub("authority%.pem$", options.by or "authority")
  run(directory, name, ISSUE:format(directory, options.key or "ec -pkeyopt ec_paramgen_curve:prime256v1",
    options.subject or "/CN=" .. name, name, name, name, options.usage or "serverAuth",
    options.names or "DNS:localhost", options.days or 2, name, by, by, serial, name, name))
  return {
    cert = ("%s/%s.pem"):format(directory, name),
    key = ("%s/%s.key"):format(directory, name),
    serial = ("%X"):format(serial),
  }
end

return M
