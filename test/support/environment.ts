/** What the processes of tests inherit: of the people who run the tests neither what they told makima nor what they told git. */
export const environment: Readonly<Record<string, string | undefined>> = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(MAKIMA|GIT|HELLO)_/.test(name))),
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null"
}
