export default ({ data }) => window.location.assign(data.to)
